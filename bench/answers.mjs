// Whether an answer is what was asked for. Each is looked at; every tenth token or code is kept and verified afterwards,
// so that the load does not wait for it.

import { createLocalJWKSet, jwtVerify } from 'jose'
import { createAgent, encode, formHeaders, send } from './http.mjs'
import { codeOf } from './logins.mjs'

/**
 * @param expect `kind` of the answer: `token`, `refresh`, `active`, `person`, `registered`, `passed`, `static` or `login`, and what it
 *   takes to check it; with `idToken`, its algorithm, an ID token comes along, and is what is verified
 */
export function createChecker(expect) {
  let answers = 0
  let length
  const sampled = []
  const every10th = (value) => {
    if (++answers % 10 === 0) sampled.push(value)
    return undefined
  }
  const kinds = {
    token(status, text) {
      if (status !== 200 || !isTokenAnswer(text)) return `${status} ${text}`
      // Parsed only where it is verified: the load has one core for itself and PostgreSQL.
      if (++answers % 10 === 0) sampled.push(JSON.parse(text).access_token)
      return undefined
    },
    refresh(status, text, _headers, answer) {
      if (status !== 200 || !isTokenAnswer(text) || !answer?.refresh_token) return `${status} ${text}`
      if (expect.idToken && !answer.id_token) return `${status} ${text}`
      return every10th(expect.idToken ? answer.id_token : answer.access_token)
    },
    active(status, text) {
      return status === 200 && text.includes('"active":true') && text.includes('"client_id":')
        ? undefined
        : `${status} ${text}`
    },
    person(status, text) {
      return status === 200 && text.includes('"sub":"') && text.includes('"email":"') ? undefined : `${status} ${text}`
    },
    registered(status, text) {
      return status === 201 && text.includes('"client_id":"') && text.includes('"client_secret":"')
        ? undefined
        : `${status} ${text}`
    },
    passed(status, text, headers) {
      const token = headers.Authorization ?? headers.authorization
      return status === 200 && token?.startsWith('Bearer eyJ') ? undefined : `${status} ${text}`
    },
    static(status, bytes) {
      length ??= bytes
      return status === 200 && bytes === length ? undefined : `${status}, ${bytes} bytes`
    },
    login(status, text, headers) {
      const code = codeOf({ status, headers }, expect.redirectUri)
      return code ? every10th(code) : `${status} ${headers.location ?? headers.Location ?? text}`
    },
  }
  const check = kinds[expect.kind]
  if (!check) throw new Error(`no answer of the kind ${expect.kind}`)
  return {
    /** What is wrong, or undefined. @param answer the parsed body where the caller has it */
    check,
    /** Verifies what was kept. @returns how many */
    verify: (origin) => verifyAll(origin, expect, sampled),
  }
}

const isTokenAnswer = (text) => text.includes('"access_token":"eyJ') && text.includes('"token_type":"Bearer"')

/** What never changes is read whole once, before the load. */
export async function readStatic(origin, { path, expect }) {
  const agent = createAgent()
  try {
    const { status, text } = await send(agent, origin, { method: 'GET', path })
    const document = JSON.parse(text)
    if (status !== 200 || !expect.has.every((name) => Object.hasOwn(document, name)))
      throw new Error(`${status} ${text}`)
  } finally {
    agent.destroy()
  }
}

async function verifyAll(origin, expect, sampled) {
  if (sampled.length === 0) return 0
  const agent = createAgent()
  try {
    const tokens = expect.redeem ? await redeemAll(agent, origin, expect, sampled) : sampled
    const { text } = await send(agent, origin, { method: 'GET', path: expect.jwks })
    const keys = createLocalJWKSet(JSON.parse(text))
    const { idToken, audience, client } = expect
    const wanted = idToken
      ? { algorithms: [idToken], audience: client }
      : { algorithms: ['ES256'], typ: 'at+jwt', audience }
    for (const token of tokens) await jwtVerify(token, keys, wanted)
    return tokens.length
  } finally {
    agent.destroy()
  }
}

/** A code is verified by what it is for. */
async function redeemAll(agent, origin, { redeem }, codes) {
  const tokens = []
  for (const code of codes) {
    const body = encode({ ...redeem, code })
    const { status, text } = await send(agent, origin, { method: 'POST', path: '/token', headers: formHeaders, body })
    if (status !== 200) throw new Error(`the code of a login: ${status} ${text}`)
    tokens.push(JSON.parse(text).access_token)
  }
  return tokens
}
