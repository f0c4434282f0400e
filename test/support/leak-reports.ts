import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { openOwners } from './notices.js'
import { send, type TestServer } from './server.js'

export interface ReportSigner {
  readonly identifier: string
  readonly privateKey: KeyObject
  readonly pem: string
}

export function makeSigner(identifier: string, namedCurve = 'P-256'): ReportSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
  return { identifier, privateKey, pem: String(publicKey.export({ type: 'spki', format: 'pem' })) }
}

/** As GitHub publishes them. */
export const keysFile = (signers: readonly ReportSigner[]): string =>
  JSON.stringify({
    public_keys: signers.map(({ identifier, pem }) => ({ key_identifier: identifier, key: pem, is_current: true })),
  })

export interface Sent {
  readonly server: TestServer
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

export function post({ server, headers = {}, body }: Sent) {
  const fields = { 'content-type': 'application/json', ...headers }
  return send(server.app, { method: 'POST', url: '/leaks', headers: fields, payload: body })
}

export function signed({ identifier, privateKey }: ReportSigner, body: string): Readonly<Record<string, string>> {
  const signature = sign('sha256', Buffer.from(body), { key: privateKey, dsaEncoding: 'der' }).toString('base64')
  return { 'github-public-key-identifier': identifier, 'github-public-key-signature': signature }
}

export const found = (token: string, url = 'https://github.com/octocat/hello/blob/main/.env') => ({
  ...{ token, type: 'ostiary_api_key', url, source: 'content' },
})

/** Owners with keys, a scanner that signs, and a client that may report. */
export async function openLeaks(t: Test, env: Readonly<Record<string, string>> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-leaks-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const signer = makeSigner('f9525bf080f75b35')
  const path = join(folder, 'keys.json')
  const write = (signers: readonly ReportSigner[]): void => writeFileSync(path, keysFile(signers))
  write([signer])
  const owners = await openOwners(t, { env: { LEAK_REPORTER_KEYS: path, ...env } })
  const { server } = owners
  const scanner = await server.createService('leaks')
  const tokenOf = async (scope = 'leaks', client = scanner): Promise<string> => {
    const form = { grant_type: 'client_credentials', scope }
    return (await server.post('/token', form, { authorization: client.basic })).json().access_token
  }
  const token = await tokenOf()
  /** By the signature. */
  const report = (reports: unknown, by = signer, at = server) => {
    const body = JSON.stringify(reports)
    return post({ server: at, headers: signed(by, body), body })
  }
  /** By the client. */
  const tell = (reports: unknown) =>
    post({ server, headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(reports) })
  return { ...owners, signer, write, path, scanner, tokenOf, token, report, tell }
}
