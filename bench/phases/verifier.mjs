// What an API installs, beside a bare jwtVerify and beside what else there is. Each has a process, and a core for itself.

import { randomBytes } from 'node:crypto'
import { serverCore } from '../machine.mjs'
import { openPostgres } from '../postgres.mjs'
import { measureInTurn, startServer, summarise } from '../rounds.mjs'
import { issuer } from '../verifiers.mjs'

/** The first is the ceiling. @okta/jwt-verifier takes RS256 alone. */
const candidatesOf = {
  ES256: ['jose', 'ostiary', 'express-oauth2-jwt-bearer', 'fast-jwt'],
  RS256: ['jose', 'ostiary', 'express-oauth2-jwt-bearer', '@okta/jwt-verifier', 'fast-jwt'],
}

/** Of API keys. The first is what there is without the package. */
const keyCandidates = ['introspection', 'ostiary']

export async function measureVerifiers(load, settings) {
  const postgres = await openPostgres()
  try {
    const masterKey = randomBytes(32).toString('base64')
    const server = await startServer('ostiary', {
      databaseUrl: postgres.url,
      masterKey,
      env: { ISSUER: issuer },
      prepare: ['api-keys'],
    })
    try {
      return await measureAt(server, load, settings)
    } finally {
      await server.end()
    }
  } finally {
    await postgres.stop()
  }
}

/** @param running whose feed the package follows */
async function measureAt({ origin, service, api, audience, scope, keys }, load, { rounds, seconds }) {
  const server = { origin, service, api, audience, scope }
  const measured = []
  for (const [alg, names] of Object.entries(candidatesOf)) {
    const targets = []
    try {
      for (const candidate of names)
        targets.push(await startServer('verify', { candidate, alg, server }, { cores: serverCore }))
      for (const job of ['first', 'seen']) {
        console.log(`\n${alg}, ${job === 'first' ? 'first sight' : 'seen before'}`)
        const candidates = names.map((name, index) => ({ name, job, target: targets[index] }))
        const done = await measureInTurn(load, candidates, { rounds, seconds: Math.min(seconds, 3), connections: 1 })
        measured.push({ alg, job, candidates: done.map(summarise) })
      }
    } finally {
      for (const { end } of targets) await end()
    }
  }
  return { rounds, measured, keys: await measureKeys(server, keys, load, { rounds, seconds }) }
}

export async function measureKeys(server, keys, load, { rounds, seconds }) {
  const targets = []
  try {
    for (const candidate of keyCandidates)
      targets.push(await startServer('verify', { candidate, server, keys }, { cores: serverCore }))
    console.log('\nAPI keys')
    const candidates = keyCandidates.map((name, index) => ({ name, job: 'seen', target: targets[index] }))
    const done = await measureInTurn(load, candidates, { rounds, seconds: Math.min(seconds, 3), connections: 1 })
    return done.map(summarise)
  } finally {
    for (const { end } of targets) await end()
  }
}
