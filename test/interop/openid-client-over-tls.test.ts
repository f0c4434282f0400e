import { alsoOverTls } from '../support/own-tls.js'

// A file of its own, with the time of its own that one may take.
await alsoOverTls(new URL('openid-client.test.ts', import.meta.url).href)
