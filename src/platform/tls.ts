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

/**
 * What an HTTPS server of ours is created with: TLS 1.3, and 1.2 with ECDHE and AEAD only. OAuth 2.1 §1.5, RFC 9325.
 * The files are read once, here; the configuration has checked that they belong together.
 */
export function tlsOptions(certFile: string, keyFile: string): ServerOptions {
  return {
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS.join(':'),
    ALPNProtocols: ['http/1.1'],
    // Not ours to choose: every suite is good, and a phone without AES hardware is faster with ChaCha20.
    honorCipherOrder: false,
  }
}
