// Runs http-cache-tests with its own client and prints {id: {kind, passed, why}}.
// SUITE is the suite's folder, BASE what is tested. Without FACTS all cases are run as
// they are. With FACTS, JSON about Kamado, those of restated.mjs are run whose origin
// answers as Kamado does: what the case wants its origin to say is left out, and where
// it names a value of such an answer, Kamado's stands in its place. What the client
// does and what it wants to see is the suite's.
import { restated } from './restated.mjs'

const suite = process.env.SUITE
const { runTests, getResults } = await import(`${suite}/client/runner.mjs`)
const tests = (await import(`${suite}/tests/index.mjs`)).default
const fetch = (await import(`${suite}/../node-fetch/lib/index.mjs`)).default
const facts = process.env.FACTS ? JSON.parse(process.env.FACTS) : null

const values = { 'if-none-match': 'etag', etag: 'etag', 'if-modified-since': 'modified', 'last-modified': 'modified', 'cache-control': 'cacheControl', 'content-type': 'contentType', 'content-length': 'contentLength' }
const accepts = { 1: 'image/png', 123: 'image/png', 2: 'image/jpeg', 3: 'image/gif' }

// since is the Last-Modified that the case wants of its origin; other times in
// If-Modified-Since are another picture's, and stay.
function restateHeader (header, since) {
  if (typeof header === 'string') return header
  const [name, value, ...rest] = header
  if (name === 'If-Modified-Since' && value !== since) return header
  if (name === 'Foo' || name === 'Abc') return ['Accept', accepts[value], ...rest]
  const fact = facts[values[name.toLowerCase()]]
  if (fact === undefined) return header
  return [name, name === 'If-None-Match' ? value.replace('"abcdef"', fact) : fact, ...rest]
}

function restate (request, first, place) {
  const out = { ...request, kamado: { base: facts.bases[place[0]], path: facts.paths[place[1]] }, check_body: false }
  // What Kamado refuses once it refuses again, where the suite's origin thinks better of it.
  if (first.response_status) out.response_status = first.response_status
  const since = (first.response_headers.find(h => h[0] === 'Last-Modified') || [])[1]
  delete out.response_headers
  delete out.response_body
  for (const list of ['request_headers', 'expected_request_headers', 'expected_response_headers']) {
    if (request[list]) out[list] = request[list].map(h => restateHeader(h, since))
  }
  return out
}

const chosen = []
for (const group of tests) {
  for (const test of group.tests) {
    if (!facts && !process.env.ALL && !(test.id in restated)) continue
    if (!facts) chosen.push(test)
    else if (test.id in restated) chosen.push({ ...test, requests: test.requests.map(r => restate(r, test.requests[0], restated[test.id])) })
  }
}
await runTests([{ tests: chosen }], fetch, false, process.env.BASE)
const results = getResults()
const out = {}
for (const test of chosen) {
  if (!(test.id in results)) continue // of browsers only
  const passed = results[test.id] === true
  out[test.id] = { kind: test.kind || 'required', passed, why: passed ? '' : results[test.id].join(': ') }
}
console.log(JSON.stringify(out))
