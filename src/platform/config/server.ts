import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { type Static, Type } from '@sinclair/typebox'
import { isLoopbackHost } from '../network.js'
import { quote, readable, type Source } from './variables.js'

export const serverVariables = Type.Object({
  host: Type.String({
    default: 'localhost',
    description:
      'Name or address to listen on; localhost means both address families. Anything but loopback needs ISSUER: the world must know our name.',
  }),
  port: Type.Integer({
    default: 3000,
    minimum: 0,
    maximum: 65_535,
    description: 'TCP port to listen on. 0 takes any free one, for tests.',
  }),
  issuer: Type.Optional(
    Type.String({
      description:
        'The URL by which everybody knows this server, such as https://auth.example.com; default http://localhost:PORT, https with TLS. Metadata and links come from it, never from a Host header.',
    }),
  ),
  trustProxy: Type.String({
    default: 'false',
    description:
      'Proxies whose X-Forwarded-For is believed: addresses and networks separated by commas, or loopback, linklocal, uniquelocal; false believes none. Whoever is listed can claim any client address.',
  }),
  processes: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 64,
    description: 'Serving processes. One per core; every one opens DATABASE_POOL_SIZE connections.',
  }),
  maxConnections: Type.Integer({
    default: 20_000,
    minimum: 100,
    maximum: 1_000_000,
    description:
      'Open connections per process before further ones are closed at once. Bounds memory when many only idle.',
  }),
  tlsCertFile: Type.Optional(
    Type.String({
      description: 'File of the certificate chain in PEM, to serve HTTPS directly. Goes with TLS_KEY_FILE.',
    }),
  ),
  tlsKeyFile: Type.Optional(
    Type.String({ description: 'File of the private key of TLS_CERT_FILE in PEM, readable by the server alone.' }),
  ),
})

export interface ServerConfig {
  readonly host: string
  readonly port: number
  /** Without a trailing slash; exactly what `iss` says. */
  readonly issuer: string
  /** Addresses, networks and names as `@fastify/proxy-addr` takes them. */
  readonly trustProxy: false | readonly string[]
  readonly processes: number
  readonly maxConnections: number
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined
}

export function resolveServer(values: Static<typeof serverVariables>, source: Source): ServerConfig {
  const { host, port, processes, maxConnections } = values
  if (!isHost(host)) {
    source.refuse(
      'HOST',
      `is ${quote(host)}, which is neither a name nor an address`,
      'Write it without scheme, port or brackets.',
    )
  }
  const tls = resolveTls(values, source)
  const trustProxy = resolveTrustProxy(values.trustProxy, source)

  if (!isLoopbackHost(host) && !tls && !trustProxy) {
    source.warn(
      `HOST is ${host} without TLS_CERT_FILE and TRUST_PROXY: secrets cross the network in plain text unless something ` +
        'in front of this server speaks TLS (RFC 9700 §2.6).',
    )
  }
  return { host, port, issuer: resolveIssuer(values, tls, source), trustProxy, processes, maxConnections, tls }
}

/** The issuer where nobody named one; after listening on port 0, with the port that was given. */
export function defaultIssuer(port: number, tls: boolean): string {
  return `${tls ? 'https' : 'http'}://localhost:${port}`
}

function isHost(host: string): boolean {
  return (
    isIP(host) !== 0 ||
    (host.length <= 253 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i.test(host))
  )
}

function resolveTls(values: Static<typeof serverVariables>, source: Source): ServerConfig['tls'] {
  const { tlsCertFile: certFile, tlsKeyFile: keyFile } = values
  if (certFile === undefined && keyFile === undefined) return undefined
  if (certFile === undefined || keyFile === undefined) {
    const [given, missing] =
      certFile === undefined ? ['TLS_KEY_FILE', 'TLS_CERT_FILE'] : ['TLS_CERT_FILE', 'TLS_KEY_FILE']
    source.refuse(missing, `is missing although ${given} is set`, 'Set both to serve HTTPS, or neither.')
    return undefined
  }
  const cert = readable(source, 'TLS_CERT_FILE', certFile)
  const key = readable(source, 'TLS_KEY_FILE', keyFile)
  if (cert && key) checkKeyPair(cert, key, source)
  return { certFile, keyFile }
}

function checkKeyPair(cert: Buffer, key: Buffer, source: Source): void {
  const certificate = attempt(() => new X509Certificate(cert))
  const privateKey = attempt(() => createPrivateKey(key))
  if (!certificate)
    source.refuse('TLS_CERT_FILE', 'holds no certificate', 'Write the chain in PEM, our certificate first.')
  if (!privateKey) source.refuse('TLS_KEY_FILE', 'holds no private key', 'Write the key in PEM, without a passphrase.')
  if (certificate && privateKey && !certificate.checkPrivateKey(privateKey)) {
    source.refuse(
      'TLS_KEY_FILE',
      'is not the key of the certificate in TLS_CERT_FILE',
      'Name the two files that belong together.',
    )
  }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** RFC 8414 §2, RFC 9207 §2: compared as a string by everyone, so there is one way to write it. */
function resolveIssuer(values: Static<typeof serverVariables>, tls: ServerConfig['tls'], source: Source): string {
  const { issuer, host, port } = values
  const fallback = defaultIssuer(port, tls !== undefined)
  if (issuer === undefined) {
    if (!isLoopbackHost(host)) {
      source.refuse(
        'ISSUER',
        `is missing although HOST is ${quote(host)}`,
        'Set it to the URL by which clients reach this server, such as https://auth.example.com.',
      )
    }
    return fallback
  }

  const refuse = (problem: string, advice: string) => {
    source.refuse('ISSUER', `is ${quote(issuer)}, ${problem}`, advice)
    return fallback
  }
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    return refuse('which is not a URL', 'Write it like https://auth.example.com.')
  }
  if (url.username || url.password) return refuse('which holds a user name or password', 'Leave them out.')
  if (issuer.includes('?') || issuer.includes('#')) {
    return refuse('which has a query or fragment', 'Leave them out (RFC 8414 §2).')
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    return refuse(
      'plain http on anything but loopback',
      'Use https: tokens and passwords pass through it (RFC 9700 §2.6).',
    )
  }
  if (url.protocol === 'http:' && tls) {
    return refuse('although TLS_CERT_FILE is set', 'Use https, or serve without TLS.')
  }
  let path = url.pathname
  while (path.endsWith('/')) path = path.slice(0, -1)
  const canonical = `${url.origin}${path}`
  if (issuer !== canonical) {
    return refuse('which is not the form that clients compare', `Write it as ${canonical}.`)
  }
  // The path becomes part of every route and of the metadata's well-known address.
  if (!/^(\/[A-Za-z0-9._~-]+)*\/?$/.test(url.pathname)) {
    return refuse(
      'whose path has characters that proxies and clients treat differently',
      'Use letters, digits and -._~ between single slashes.',
    )
  }
  return issuer
}

const RANGE_NAMES = ['loopback', 'linklocal', 'uniquelocal']

function resolveTrustProxy(text: string, source: Source): false | readonly string[] {
  if (text === 'false') return false
  const entries = text.split(',').map((entry) => entry.trim())
  const wrong = entries.filter((entry) => !RANGE_NAMES.includes(entry) && !isNetwork(entry))
  if (wrong.length === 0) return entries

  // `true` or /0 would let any client choose the address that its failures are counted for (attack 101).
  source.refuse(
    'TRUST_PROXY',
    `has ${wrong.map(quote).join(', ')}`,
    'List the addresses or networks (such as 10.0.0.0/8) of your proxies, or set it to loopback or false.',
  )
  return false
}

function isNetwork(entry: string): boolean {
  const [address = '', prefix, ...more] = entry.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0) return false
  if (prefix === undefined) return true
  return /^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128)
}
