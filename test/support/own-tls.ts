import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const file = (name: string): string => fileURLToPath(new URL(`tls/${name}.pem`, import.meta.url))

/** For a server that speaks TLS. */
export const tls = { TLS_CERT_FILE: file('cert'), TLS_KEY_FILE: file('key') }

/** By which a browser is told to trust this one certificate. */
export const certificatePin = createHash('sha256')
  .update(new X509Certificate(readFileSync(tls.TLS_CERT_FILE)).publicKey.export({ type: 'spki', format: 'der' }))
  .digest('base64')

const isOverTls = process.env['OVER_TLS'] === '1'

/** What every running server is started with here: in a process of `runAgain` with OVER_TLS, for our own TLS. */
export const scheme: Readonly<Record<string, string>> = isOverTls ? tls : {}

/** Runs a file's tests in a process that trusts the certificate: Node reads NODE_EXTRA_CA_CERTS once, at its start. */
export async function runAgain(url: string, name: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const all = { ...process.env, NODE_EXTRA_CA_CERTS: tls.TLS_CERT_FILE, ...env }
  await t.spawn(process.execPath, ['--import=tsx', fileURLToPath(url)], { env: all }, name)
}

/** Runs all tests of a file, which run over http on loopback, over our own TLS as well: without a word in the tests. */
export async function alsoOverTls(url: string): Promise<void> {
  if (!isOverTls) await runAgain(url, 'over our own TLS', { OVER_TLS: '1' })
}
