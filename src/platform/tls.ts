import { readFileSync } from 'node:fs'
import type { ServerOptions } from 'node:https'

/** RFC 9325 §4.2: TLS 1.3's own, and for TLS 1.2 only forward secrecy with authenticated encryption. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
]

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** The certificate chain and its private key, in PEM. */
export interface KeyPair {
  readonly cert: Buffer
  readonly key: Buffer
}

/**
 * What an HTTPS server of ours is created with: TLS 1.3, and 1.2 with ECDHE and AEAD only. OAuth 2.1 §1.5, RFC 9325.
 * The configuration has checked that the files belong together; `followCertificate` sees when they change.
 */
export function tlsOptions({ certFile, keyFile }: TlsFiles): ServerOptions {
  return tlsOptionsOf({ cert: readFileSync(certFile), key: readFileSync(keyFile) })
}

/** The same with what was read already. */
export function tlsOptionsOf({ cert, key }: KeyPair): ServerOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS.join(':'),
    ALPNProtocols: ['http/1.1'],
    // Not ours to choose: every suite is good, and a phone without AES hardware is faster with ChaCha20.
    honorCipherOrder: false,
  }
}
