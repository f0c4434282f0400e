import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Server } from 'node:https'
import type { Clock } from './clock.js'
import { sha256 } from './crypto/hash.js'
import type { Logger } from './log.js'
import { oneAtATime } from './one-at-a-time.js'
import { type KeyPair, type TlsFiles, tlsOptionsOf } from './tls.js'

export interface CertificateFollowerOptions {
  readonly files: TlsFiles
  readonly clock: Clock
  readonly log: Logger
  /** What gets the new pair. Connections that are open go on under the old one. Empty: nothing but warnings of its end. */
  readonly servers: readonly Pick<Server, 'setSecureContext'>[]
  /** Warns before the certificate expires: for one process of several, or each would say it. */
  readonly warns: boolean
}

export interface CertificateFollower {
  /** Looks at the files now. Never rejects: what is wrong with them is in the log. */
  readonly look: () => Promise<void>
  readonly stop: () => void
}

/** Milliseconds between two looks. */
const interval = 5_000
const day = 86_400_000
/** Milliseconds before its end at which a certificate is warned of: time enough to mend what should have renewed it. */
const warnBefore = 14 * day

interface Loaded {
  readonly digest: string
  readonly expires: Date
}

/**
 * Puts a certificate into use when its files change, without a restart. The content is what is compared, at an interval:
 * certbot exchanges symbolic links, Kubernetes the link of the whole folder, others write in place, and no file system
 * tells of all of these. A pair is used when certificate and key belong together and both were the same at two looks, so
 * never one that is half written; until then the old one stays.
 */
export function followCertificate(options: CertificateFollowerOptions): CertificateFollower {
  const { files, clock, log, servers, warns } = options
  let loaded: Loaded | undefined
  /** What the last look saw, where that is not what is loaded. */
  let seen: string | undefined
  /** What was said of it: once, not at every look. */
  let said: string | undefined
  let warnedAt: number | undefined

  function use(pair: KeyPair): Loaded {
    const expires = checkKeyPair(pair)
    const secure = tlsOptionsOf(pair)
    for (const server of servers) server.setSecureContext(secure)
    said = undefined
    seen = undefined
    return { digest: digestOf(pair), expires }
  }

  function refuse(error: unknown, state: string): void {
    if (said === state || servers.length === 0) return
    said = state
    log.warn(
      { err: error, files },
      'the files of the TLS certificate changed and cannot be used: the one before stays, and they are tried again',
    )
  }

  async function take(): Promise<void> {
    let pair: KeyPair
    try {
      pair = { cert: await readFile(files.certFile), key: await readFile(files.keyFile) }
    } catch (error) {
      refuse(error, String(error))
      return
    }
    const digest = digestOf(pair)
    if (digest === loaded?.digest) {
      seen = undefined
      said = undefined
      return
    }
    if (digest !== seen) {
      seen = digest
      return
    }
    try {
      loaded = use(pair)
    } catch (error) {
      refuse(error, digest)
      return
    }
    warnedAt = undefined
    if (servers.length > 0)
      log.info({ expires: loaded.expires, file: files.certFile }, 'a new TLS certificate is in use')
  }

  function warn(): void {
    if (!warns || !loaded) return
    const now = clock.now().getTime()
    const left = loaded.expires.getTime() - now
    if (left > warnBefore || (warnedAt !== undefined && now - warnedAt < day)) return
    warnedAt = now
    const about = { expires: loaded.expires, days: Math.max(0, Math.floor(left / day)), files }
    log.warn(
      about,
      left > 0
        ? 'the TLS certificate expires soon: renew it in its files, which are read again without a restart'
        : 'the TLS certificate has expired, and clients refuse it: renew it in its files, which are read again without a restart',
    )
  }

  const look = oneAtATime(async () => {
    await take()
    warn()
  })

  try {
    // The servers read the files before this did: with the same content as here they are certain to serve it.
    loaded = use({ cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) })
  } catch (error) {
    refuse(error, String(error))
  }
  warn()
  const timer = setInterval(() => void look(), interval)
  timer.unref()
  return { look, stop: () => clearInterval(timer) }
}

function digestOf({ cert, key }: KeyPair): string {
  return sha256(Buffer.concat([sha256(cert), sha256(key)])).toString('hex')
}

/** @returns when the certificate expires @throws where one of the two cannot be read, or they do not belong together */
function checkKeyPair({ cert, key }: KeyPair): Date {
  const certificate = new X509Certificate(cert)
  if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error('the key is not the one of the certificate')
  return new Date(certificate.validTo)
}
