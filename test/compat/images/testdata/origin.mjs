// The origin of http-cache-tests with Kamado's answers: it keeps the suite's books, and
// hands each request to the Kamado that its case names. Status and headers are
// Kamado's; only what the suite counts by is added. PORT is where it listens.
import http from 'http'
const suite = process.env.SUITE
const { configs, stash, setStash } = await import(`${suite}/server/utils.mjs`)
const handleConfig = (await import(`${suite}/server/handle-config.mjs`)).default
const handleState = (await import(`${suite}/server/handle-state.mjs`)).default

const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding'])

function handleTest (uuid, request, response) {
  const seen = stash.get(uuid) || []
  const number = parseInt(request.headers['req-num']) || seen.length + 1
  const wanted = (configs.get(uuid) || [])[number - 1]
  if (!wanted) {
    response.writeHead(409).end()
    return
  }
  const headers = { ...request.headers }
  for (const name of ['host', 'connection', 'req-num', 'test-id', 'test-name']) delete headers[name]
  const { base, path } = wanted.kamado
  http.request(base + path, { method: request.method, headers }, answer => {
    seen.push({ request_num: number, request_method: request.method, request_headers: request.headers, response_headers: [] })
    setStash(uuid, seen)
    // As the suite's own origin: a request that should have been conditional.
    const conditional = (wanted.expected_type || '').endsWith('validated')
    response.statusCode = conditional && answer.statusCode !== 304 ? 999 : answer.statusCode
    for (const [name, value] of Object.entries(answer.headers)) {
      if (!hopByHop.has(name)) response.setHeader(name, value)
    }
    response.setHeader('Server-Base-Url', request.url)
    response.setHeader('Server-Request-Count', seen.length)
    response.setHeader('Client-Request-Count', number)
    response.setHeader('Server-Now', Date.now())
    response.setHeader('Request-Numbers', seen.map(item => item.request_num).join(' '))
    answer.pipe(response)
  }).on('error', () => response.destroy()).end()
}

http.createServer((request, response) => {
  const [what, ...rest] = new URL(request.url, 'http://localhost').pathname.split('/').slice(1)
  if (what === 'config') handleConfig(rest, request, response)
  else if (what === 'state') handleState(rest, request, response)
  else if (what === 'test') handleTest(rest[0], request, response)
  else response.end()
}).listen(process.env.PORT, '127.0.0.1')
