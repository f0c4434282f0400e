import { sha256 } from '../../src/platform/crypto/hash.js'
import { dayBucket, grants, weekBucket } from '../../src/store/index.js'
import { drawOpaque } from '../../src/tokens/index.js'
import type { TestClient, TestServer } from './server.js'
import { insertSession } from './store.js'

export const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
export const challenge = sha256(verifier).toString('base64url')

export interface IssuedCode {
  readonly code: string
  readonly grantId: string
  readonly sid: string
  /** What the token request must say besides the code. */
  readonly form: Readonly<Record<string, string>>
}

export interface CodeOptions {
  readonly scope?: readonly string[]
  readonly resources?: readonly string[]
  readonly offline?: boolean
  readonly codeChallenge?: string | undefined
  readonly redirectUri?: string | undefined
  /** Seconds. */
  readonly lifetime?: number
}

/** A code as /authorize would have issued it after login and consent, without the pages. */
export async function issueCode(
  server: TestServer,
  client: TestClient,
  userId: string,
  options: CodeOptions = {},
): Promise<IssuedCode> {
  const { ctx } = server
  const now = ctx.clock.now()
  const later = (seconds: number): Date => new Date(now.getTime() + seconds * 1000)
  const { scope = [], resources = [], offline = false, lifetime = 30 * 86_400 } = options
  const redirectUri = 'redirectUri' in options ? options.redirectUri : 'https://app.example/cb'
  const codeChallenge = 'codeChallenge' in options ? options.codeChallenge : challenge

  const sessionEnd = later(7 * 86_400)
  const session = drawOpaque(ctx, 'oss', weekBucket(sessionEnd))
  const sid = ctx.random.uuid()
  await insertSession(ctx.db, {
    bucket: session.bucket,
    tokenHash: session.hash,
    id: sid,
    userId,
    createdAt: now,
    expiresAt: sessionEnd,
    idleExpiresAt: later(12 * 3600),
  })
  const expiresAt = later(lifetime)
  const grantId = ctx.random.uuid()
  const codeEnd = later(60)
  const code = drawOpaque(ctx, 'oac', dayBucket(codeEnd))
  const outcome = await grants.create(ctx.db, {
    grant: {
      bucket: weekBucket(expiresAt),
      id: grantId,
      clientId: client.clientId,
      userId,
      session: { bucket: session.bucket, id: sid },
      scope,
      resources,
      offline,
      authTime: now,
      createdAt: now,
      expiresAt,
    },
    code: { bucket: code.bucket, hash: code.hash, redirectUri, codeChallenge, expiresAt: codeEnd },
    event: { id: ctx.random.uuid(), time: now, type: 'code.issued', actor: `user:${userId}` },
  })
  if (outcome !== 'created') throw new Error(`the grant was not created: ${outcome}`)
  return {
    code: code.value,
    grantId,
    sid,
    form: {
      grant_type: 'authorization_code',
      code: code.value,
      ...(redirectUri === undefined ? {} : { redirect_uri: redirectUri }),
      ...(codeChallenge === undefined ? {} : { code_verifier: verifier }),
    },
  }
}
