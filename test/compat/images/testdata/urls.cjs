// Reads a list of wishes as JSON and writes, for each, the URL that imgproxy's own
// library makes of it, or {"error": ...} where the library refuses it.
// MODULES is the folder of the modules.
const { createRequire } = require('module')
const fs = require('fs')
const { generateImageUrl, generateImageInfoUrl } = createRequire(process.env.MODULES + '/x')('@imgproxy/imgproxy-node')

const urls = JSON.parse(fs.readFileSync(0, 'utf8')).map(({ info, ...wish }) => {
  try {
    return { url: (info ? generateImageInfoUrl : generateImageUrl)(wish) }
  } catch (e) {
    return { error: e.message }
  }
})
process.stdout.write(JSON.stringify(urls))
