import {
  type CreatedApiKey,
  changeApiKey,
  createApiKey,
  describeApiKey,
  endApiKey,
  endApiKeys,
  findApiKey,
  isApiKeyId,
  isUnknown,
  pageOfApiKeys,
  rotateApiKey,
} from '../../api-keys/index.js'
import { findClient } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { type Operation, operation, ProblemError } from '../../http/index.js'
import { findUser } from '../../identity/index.js'
import { InvalidScopeError, parseScope } from '../../oauth/index.js'
import { InvalidValueError, NotFoundError } from '../../platform/administration-errors.js'
import type { KeySet } from '../../revocation/index.js'
import type { ApiKey, ApiKeyOwner } from '../../store/index.js'
import { type Caller, maySee } from './caller.js'
import { readCursor, writeCursor } from './cursor.js'
import * as schemas from './schemas.js'

const notFound = { 404: 'There is no such key, or it is somebody else’s.' }
const over = { 409: 'The key has ended, has expired or has a successor already.' }

/** Everything that can be done to API keys by HTTP. */
export function apiKeyOperations(ctx: Context): readonly Operation<Caller>[] {
  const { issuer } = ctx.config.server

  const list = operation<Caller, typeof schemas.listQuery, never>({
    id: 'listApiKeys',
    method: 'GET',
    path: '/api-keys',
    summary: 'List API keys, oldest first',
    query: schemas.listQuery,
    success: { status: 200, description: 'A page of them.', schema: schemas.apiKeyList },
    async handle({ caller, query: { owner, prefix, state, cursor, limit = 50 } }) {
      const filter = { owner: ownersAsked(caller, owner), prefix, state }
      const after = cursor === undefined ? undefined : readCursor(cursor)
      const { keys, next } = await pageOfApiKeys(ctx, filter, { after, limit })
      const now = ctx.clock.now()
      const api_keys = keys.map((key) => describeApiKey(key, now))
      return { body: { api_keys, ...(next ? { next_cursor: writeCursor(next) } : {}) } }
    },
  })

  const create = operation<Caller, never, typeof schemas.createBody>({
    id: 'createApiKey',
    method: 'POST',
    path: '/api-keys',
    summary: 'Make an API key',
    description: 'Users and clients make keys of their own; administrators may name another owner, and a tier.',
    body: schemas.createBody,
    success: {
      status: 201,
      description: 'The key, this once.',
      schema: schemas.createdApiKey,
      headers: { Location: 'Its address.' },
    },
    async handle({ caller, body }) {
      const { owner: named, scope: asked, expires_in: lifetime, jwk: publicJwk, kind = 'secret', ...plain } = body
      if (named !== undefined) requireAdmin(caller, '/owner')
      if (plain.tier !== undefined) requireAdmin(caller, '/tier')
      if (publicJwk && kind !== 'signing') throw new InvalidValueError('Only a signing key has one.', { field: 'jwk' })
      const scope = readScope(asked)
      requireReach(caller, scope)
      const owner = named ? await resolveOwner(ctx, named) : caller.owner
      const request = { ...plain, owner, scope, kind, lifetime, publicJwk }
      return withLocation(issuer, shown(ctx, await createApiKey(ctx, request, caller.by)))
    },
  })

  const show = operation<Caller, never, never>({
    id: 'getApiKey',
    method: 'GET',
    path: '/api-keys/{id}',
    summary: 'Show an API key',
    success: { status: 200, description: 'The key, without its secret.', schema: schemas.apiKey },
    failures: notFound,
    async handle({ caller, id }) {
      return { body: describeApiKey(await find(ctx, caller, id), ctx.clock.now()) }
    },
  })

  const change = operation<Caller, never, typeof schemas.changeBody>({
    id: 'changeApiKey',
    method: 'PATCH',
    path: '/api-keys/{id}',
    summary: 'Change an API key',
    description: 'What is remembered of it anywhere is asked for again within a second.',
    body: schemas.changeBody,
    success: { status: 200, description: 'The key as it is now.', schema: schemas.apiKey },
    failures: { ...notFound, ...over },
    async handle({ caller, id, body: { scope: asked, expires_at: end, ...plain } }) {
      const before = await find(ctx, caller, id)
      const scope = asked === undefined ? undefined : readScope(asked)
      // What it has already it may keep.
      if (scope) requireReach(caller, scope, before.scope)
      const expiresAt = end === undefined || end === 'never' ? end : new Date(end)
      const key = await changeApiKey(ctx, id, { request: { ...plain, scope, expiresAt }, by: caller.by })
      return { body: describeApiKey(key, ctx.clock.now()) }
    },
  })

  const end = operation<Caller, never, never>({
    id: 'revokeApiKey',
    method: 'DELETE',
    path: '/api-keys/{id}',
    summary: 'End an API key at once, everywhere',
    description: 'The key stays in lists, as one that has ended. To end it again changes nothing.',
    success: { status: 204, description: 'It has ended.' },
    failures: notFound,
    async handle({ caller, id }) {
      await find(ctx, caller, id)
      await endApiKey(ctx, id, { cause: { ...caller.by, reason: 'revoked_by_http' } })
      return {}
    },
  })

  const rotate = operation<Caller, never, typeof schemas.rotateBody>({
    id: 'rotateApiKey',
    method: 'POST',
    path: '/api-keys/{id}/rotate',
    summary: 'Give an API key a successor',
    description: 'It has the same rights. The key before stays good for the overlap, and ends by itself.',
    body: schemas.rotateBody,
    bodyOptional: true,
    success: {
      status: 201,
      description: 'The successor, with its key this once, and the key before as it is now.',
      schema: schemas.rotatedApiKey,
      headers: { Location: 'The address of the successor.' },
    },
    failures: { ...notFound, ...over },
    async handle({ caller, id, body: { overlap } }) {
      requireReach(caller, (await find(ctx, caller, id)).scope)
      const rotated = await rotateApiKey(ctx, id, { overlap, by: caller.by })
      const previous = describeApiKey(rotated.previous, ctx.clock.now())
      return withLocation(issuer, { ...shown(ctx, rotated), previous })
    },
  })

  const endMany = operation<Caller, never, typeof schemas.revokeBody>({
    id: 'revokeApiKeys',
    method: 'POST',
    path: '/api-keys/revoke',
    summary: 'End all API keys of an owner, of a prefix, or all there are',
    description: 'For administrators. With replace each gets a successor, whose key is in the answer this once.',
    body: schemas.revokeBody,
    success: { status: 200, description: 'What has ended, and the successors.', schema: schemas.endedApiKeys },
    async handle({ caller, body: { replace = false, ...asked } }) {
      requireAdmin(caller, '')
      if (replace && caller.reach) throw beyondReach('')
      const set = await keySetOf(ctx, asked)
      const { ended, successors } = await endApiKeys(ctx, set, {
        cause: { ...caller.by, reason: 'revoked_by_http' },
        replace,
      })
      const made = successors.map((created) => ({ ...shown(ctx, created), previous: created.previous }))
      return { body: { ended: ended.map(({ id }) => id), successors: made } }
    },
  })

  return [list, create, endMany, show, change, end, rotate]
}

/** @throws {NotFoundError} the same for a key of somebody else and for none (attacks 97 and 130) */
async function find(ctx: Context, caller: Caller, id: string): Promise<ApiKey> {
  const key = isApiKeyId(id) ? await findApiKey(ctx, id) : undefined
  if (key && maySee(caller, key)) return key
  throw isUnknown(id)
}

function shown(ctx: Context, { key, text }: CreatedApiKey): Record<string, unknown> {
  return { ...describeApiKey(key, ctx.clock.now()), key: text }
}

function withLocation(issuer: string, body: Record<string, unknown>) {
  return { headers: { Location: `${issuer}/api-keys/${body['id']}` }, body }
}

/** Attack 114. */
function requireAdmin({ admin }: Caller, pointer: string): void {
  if (!admin) throw forbidden('Only an administrator may do this.', 'not_an_administrator', pointer)
}

function requireReach({ reach }: Caller, scope: readonly string[], had: readonly string[] = []): void {
  if (!reach || scope.every((name) => reach.has(name) || had.includes(name))) return
  throw beyondReach('/scope')
}

function beyondReach(pointer: string): ProblemError {
  const message = 'The application is not registered for all that the key may do, so it must not have the key.'
  return forbidden(message, 'scope_beyond_client', pointer)
}

function forbidden(message: string, reason: string, pointer: string): ProblemError {
  const errors = pointer === '' ? [] : [{ pointer, detail: message }]
  return new ProblemError(message, { status: 403, kind: 'forbidden', reason, errors })
}

function readScope(text: string): readonly string[] {
  try {
    return parseScope(text)
  } catch (error) {
    if (!(error instanceof InvalidScopeError)) throw error
    throw new InvalidValueError(error.message, { field: 'scope', cause: error })
  }
}

/** Whose keys are listed: for who is no administrator, never anybody else's. */
function ownersAsked(caller: Caller, asked: string | undefined): ApiKeyOwner | undefined {
  if (asked === undefined) return caller.admin ? undefined : caller.owner
  requireAdmin(caller, '/owner')
  const [kind = '', ...rest] = asked.split(':')
  return { kind: kind === 'user' ? 'user' : 'client', id: rest.join(':') }
}

/** By its own id, however it was named. */
async function resolveOwner(ctx: Context, { kind, id }: ApiKeyOwner): Promise<ApiKeyOwner> {
  try {
    if (kind === 'user') return { kind, id: (await findUser(ctx, id)).id }
    return { kind, id: (await findClient(ctx, id)).clientId }
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
    throw new InvalidValueError(error.message, { field: 'owner', cause: error })
  }
}

async function keySetOf(
  ctx: Context,
  { owner, prefix, all }: { owner?: ApiKeyOwner; prefix?: string; all?: true },
): Promise<KeySet> {
  if ([owner, prefix, all].filter((each) => each !== undefined).length !== 1) {
    throw new ProblemError('The body names one of owner, prefix and all.', {
      kind: 'invalid-members',
      reason: 'key_set_unclear',
    })
  }
  if (owner) return { kind: 'owner', owner: await resolveOwner(ctx, owner) }
  return prefix === undefined ? { kind: 'all' } : { kind: 'prefix', prefix }
}
