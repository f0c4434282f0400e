// The ceilings of rotation and redemption: the very statement of the server, from its own store, in its batches and on its
// tables, with a client, a user, a session and grants that stand. It writes what the server writes: the row that is spent,
// the successor, the answer for a retry, the place in a status list, the audit event. Around it nothing: no client is authenticated, nothing is looked
// up or checked before, nothing is encrypted.

import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { authorizationCodes, dayBucket, refreshTokens, weekBucket } from '../../dist/store/index.js'
import { encode, formHeaders } from '../http.mjs'
import { grantEnd, openSite, redirectUri, stockChains, stockCodes } from '../site.mjs'

const sha256 = (text) => createHash('sha256').update(text).digest()

/** The row of an opaque value: it says its bucket itself. */
function rowOf(value) {
  return { bucket: Number.parseInt(value.split('_', 2)[1], 36), hash: sha256(value) }
}

function draw(prefix, bucket) {
  const value = `${prefix}_${bucket.toString(36)}_${randomBytes(32).toString('base64url')}`
  return { value, bucket, hash: sha256(value) }
}

/** As long as the server's default, and as the hash of a request and an encrypted answer are. */
const retryWindow = 10_000
const audience = 'https://api.bare.example.com'
const requestHash = randomBytes(32)
const sealedAnswer = randomBytes(700)

/** A list of its own, which nobody reads: what counts is the row. */
const listId = randomBytes(16)
let given = 0

function nextStatusIndex(now) {
  return {
    bucket: dayBucket(now),
    listId,
    idx: given++,
    sessionId: randomUUID(),
    audience,
    iat: Math.floor(now / 1000),
  }
}

export async function prepareSameStatements(app, { databaseUrl, masterKey, send, signIdToken, tokens, client }) {
  const site = await openSite({ databaseUrl, masterKey, tag: 'bare' })
  const { db } = site.ctx
  const common = (now) => ({ eventId: randomUUID(), ip: '127.0.0.1', requestId: 'req-1', now })
  const refuse = (reply) => reply.code(400).send({ error: 'invalid_grant' })

  app.post('/refresh-same', async ({ body }, reply) => {
    const token = rowOf(body.refresh_token)
    const now = new Date()
    const next = draw('ort', token.bucket)
    const retryUntil = new Date(now.getTime() + retryWindow)
    const rotated = await refreshTokens.rotate(db, {
      token,
      tokens: {
        refreshToken: { bucket: next.bucket, hash: next.hash, expiresAt: grantEnd(now) },
        statusIndex: nextStatusIndex(now),
      },
      answer: { bucket: dayBucket(retryUntil), requestHash, ciphertext: sealedAnswer, expiresAt: retryUntil },
      ...common(now),
    })
    return rotated ? send(reply, { refresh_token: next.value }) : refuse(reply)
  })

  const redeem = async (body) => {
    const now = new Date()
    const expiresAt = grantEnd(now)
    const next = draw('ort', weekBucket(expiresAt))
    const redeemed = await authorizationCodes.redeem(db, {
      code: rowOf(body.code),
      attemptId: randomUUID(),
      tokens: {
        refreshToken: { bucket: next.bucket, hash: next.hash, expiresAt },
        statusIndex: nextStatusIndex(now),
      },
      ...common(now),
    })
    return redeemed ? { refresh_token: next.value } : undefined
  }

  app.post('/redeem-same', async ({ body }, reply) => {
    const tokens = await redeem(body)
    return tokens ? send(reply, tokens) : refuse(reply)
  })

  for (const alg of ['ES256', 'RS256']) {
    app.post(`/redeem-same/${alg}`, async ({ body }, reply) => {
      const [tokens, id_token] = await Promise.all([redeem(body), signIdToken(alg, client.client_id)])
      return tokens ? send(reply, { ...tokens, id_token }) : refuse(reply)
    })
  }

  const job = (path, stock, form) => ({
    method: 'POST',
    path,
    headers: formHeaders,
    expect: { kind: 'refresh', ...tokens },
    form: encode({ ...form, ...client }),
    stock,
  })
  const idJob = (alg) => ({
    ...job(`/redeem-same/${alg}`, 'codes', {}),
    expect: { kind: 'refresh', jwks: tokens.jwks, idToken: alg, client: client.client_id },
  })
  const origin = () => `http://127.0.0.1:${app.server.address().port}`
  return {
    jobs: {
      refreshSame: job('/refresh-same', 'chains', { grant_type: 'refresh_token' }),
      redeemES256: idJob('ES256'),
      redeemRS256: idJob('RS256'),
      redeemSame: job('/redeem-same', 'codes', { grant_type: 'authorization_code', redirect_uri: redirectUri }),
    },
    actions: {
      codes: async ({ count }) => ({ once: await stockCodes(site, count) }),
      chains: async ({ count }) => ({ tokens: await stockChains(site, count, origin(), '/redeem-same') }),
    },
  }
}
