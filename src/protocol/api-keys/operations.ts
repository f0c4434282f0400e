import {
  type CreatedApiKey,
  changeApiKey,
  continueEnd,
  countOwnChange,
  createApiKey,
  describeApiKey,
  endApiKey,
  endApiKeys,
  findApiKey,
  isApiKeyId,
  isUnknown,
  kindPrefixes,
  pageOfApiKeys,
  readCursor,
  rotateApiKey,
  writeCursor,
} from '../../api-keys/index.js'
import { findClient } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { type Operation, operation, ProblemError } from '../../http/index.js'
import { findUser } from '../../identity/index.js'
import { InvalidScopeError, parseScope } from '../../oauth/index.js'
import { InvalidValueError, NotFoundError } from '../../platform/administration-errors.js'
import type { KeySet } from '../../revocation/index.js'
import type { ApiKey, ApiKeyKind, ApiKeyOwner, ApiKeyPosition } from '../../store/index.js'
import { adoptionOf, describeAdoption, describeUsage, usageOf } from '../../usage/index.js'
import { type Caller, isOwn, maySee } from './caller.js'
import * as schemas from './schemas.js'

const notFound = { 404: 'There is no such key, or it is somebody else’s.' }
/** More than that, with their texts, is nothing for one answer: what is not read is lost. */
const mostSuccessors = 500
const quota = { 429: 'The owner has made, rotated or changed keys too often: API_KEY_QUOTA.' }
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
      const after = cursor === undefined ? undefined : positionOf(cursor)
      const { keys, next } = await pageOfApiKeys(ctx, filter, { after, limit })
      const api_keys = keys.map((key) => describeApiKey(ctx, key))
      return { body: { api_keys, ...(next ? { next_cursor: writeCursor(next) } : {}) } }
    },
  })

  const create = operation<Caller, never, typeof schemas.createBody>({
    id: 'createApiKey',
    method: 'POST',
    path: '/api-keys',
    summary: 'Make an API key',
    description:
      'Users and clients make keys of their own; administrators may name another owner, a tier, and a prefix of the operator’s ' +
      'own.',
    body: schemas.createBody,
    success: {
      status: 201,
      description: 'The key, this once.',
      schema: schemas.createdApiKey,
      headers: { Location: 'Its address.' },
    },
    failures: quota,
    async handle({ caller, body }) {
      const { owner: named, scope: asked, expires_in: lifetime, jwk: publicJwk, kind = 'secret', ...plain } = body
      if (named !== undefined) requireAdmin(caller, '/owner')
      if (plain.tier !== undefined) requireAdmin(caller, '/tier')
      requirePrefix(caller, kind, plain.prefix)
      if (publicJwk && kind !== 'signing') throw new InvalidValueError('Only a signing key has one.', { field: 'jwk' })
      const scope = readScope(asked)
      requireReach(caller, scope)
      await countChange(ctx, caller)
      const owner = named ? await resolveOwner(ctx, named) : caller.owner
      const managed = caller.admin && !isOwn(caller, owner)
      const request = { ...plain, owner, scope, kind, lifetime, publicJwk, managed, createdByClient: caller.clientId }
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
      return { body: describeApiKey(ctx, await find(ctx, caller, id)) }
    },
  })

  const usage = operation<Caller, typeof schemas.usageQuery, never>({
    id: 'getApiKeyUsage',
    method: 'GET',
    path: '/api-keys/{id}/usage',
    summary: 'Show how often an API key was used, for what and from where',
    description: 'Uses are in it after seconds. Of a key that has a successor it says who is still on it.',
    query: schemas.usageQuery,
    success: { status: 200, description: 'Its uses.', schema: schemas.usage },
    failures: notFound,
    async handle({ caller, id, query: { days = 7, by: unit = 'day' } }) {
      const key = await find(ctx, caller, id)
      const since = new Date(ctx.clock.now().getTime() - days * 86_400_000)
      const report = await usageOf(ctx, { kind: 'api_key', credential: key.id }, { since, unit })
      const [adoption] = await adoptionOf(ctx, [key])
      return { body: { id, ...describeUsage(report), ...(adoption ? { adoption: describeAdoption(adoption) } : {}) } }
    },
  })

  const change = operation<Caller, never, typeof schemas.changeBody>({
    id: 'changeApiKey',
    method: 'PATCH',
    path: '/api-keys/{id}',
    summary: 'Change an API key',
    description:
      'What is remembered of it anywhere is asked for again within a second. What an administrator made or changed its owner ' +
      'may make narrower alone: scope, networks, origins and expires_at.',
    body: schemas.changeBody,
    success: { status: 200, description: 'The key as it is now.', schema: schemas.apiKey },
    failures: { ...notFound, ...over, ...quota },
    async handle({ caller, id, body: { scope: asked, expires_at: end, ...plain } }) {
      const before = await find(ctx, caller, id)
      const scope = asked === undefined ? undefined : readScope(asked)
      // What it has already it may keep.
      if (scope) requireReach(caller, scope, before.scope)
      await countChange(ctx, caller)
      const expiresAt = end === undefined || end === 'never' ? end : new Date(end)
      const key = await changeApiKey(ctx, id, {
        request: { ...plain, scope, expiresAt },
        by: caller.by,
        administrator: caller.admin,
      })
      return { body: describeApiKey(ctx, key) }
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
    description:
      'It has the same rights. The key before stays good for the overlap, and ends by itself. A signing key needs the public ' +
      'key of a new key pair, in jwk: one that neither it nor any key before it had.',
    body: schemas.rotateBody,
    bodyOptional: true,
    success: {
      status: 201,
      description: 'The successor, with its key this once, and the key before as it is now.',
      schema: schemas.rotatedApiKey,
      headers: { Location: 'The address of the successor.' },
    },
    failures: { ...notFound, ...over, ...quota },
    async handle({ caller, id, body: { overlap, jwk: publicJwk } }) {
      requireReach(caller, (await find(ctx, caller, id)).scope)
      await countChange(ctx, caller)
      const options = { overlap, publicJwk, by: caller.by, createdByClient: caller.clientId }
      const rotated = await rotateApiKey(ctx, id, options)
      const previous = describeApiKey(ctx, rotated.previous)
      return withLocation(issuer, { ...shown(ctx, rotated), previous })
    },
  })

  const endMany = operation<Caller, never, typeof schemas.revokeBody>({
    id: 'revokeApiKeys',
    method: 'POST',
    path: '/api-keys/revoke',
    summary: 'End all API keys of an owner, of a prefix, or all there are',
    description:
      'For administrators. With replace each gets a successor, whose key is in the answer this once. An answer has 500 of ' +
      'them at most: where complete is false, ask again with continue. Of those that ended it names 500 at most; the list ' +
      'has them all. A key that was rotated already gets no other successor while its own lives. A signing key gets none: its owner makes a new key pair, and registers the public half.',
    body: schemas.revokeBody,
    success: { status: 200, description: 'What has ended, and the successors.', schema: schemas.endedApiKeys },
    failures: { 404: 'Nothing was ended by the end to continue.' },
    async handle({ caller, body: { replace = false, ...asked } }) {
      requireAdmin(caller, '')
      if ((replace || asked.continue !== undefined) && caller.reach) throw beyondReach('')
      requireOne(asked)
      const options = { cause: { ...caller.by, reason: 'revoked_by_http' }, replace, limit: mostSuccessors }
      const { id, ended, successors, needKeyPair, isComplete } =
        asked.continue === undefined
          ? await endApiKeys(ctx, await keySetOf(ctx, asked), options)
          : { id: asked.continue, ended: [], ...(await continueEnd(ctx, asked.continue, options)) }
      const made = successors.map((created) => ({ ...shown(ctx, created), previous: created.previous }))
      const ids = { ended: ended.map((key) => key.id), need_key_pair: needKeyPair }
      return { body: { ...ids, successors: made, end: id, complete: isComplete } }
    },
  })

  return [list, create, endMany, show, usage, change, end, rotate]
}

/** @throws {NotFoundError} the same for a key of somebody else and for none (attacks 97 and 130) */
async function find(ctx: Context, caller: Caller, id: string): Promise<ApiKey> {
  const key = isApiKeyId(id) ? await findApiKey(ctx, id) : undefined
  if (key && maySee(caller, key)) return key
  throw isUnknown(id)
}

/** @throws {ProblemError} for what is no cursor of ours */
function positionOf(cursor: string): ApiKeyPosition {
  const position = readCursor(cursor)
  if (position) return position
  const detail = 'The cursor is none that this address gave.'
  throw new ProblemError(detail, {
    kind: 'invalid-value',
    reason: 'cursor_malformed',
    errors: [{ pointer: '/cursor', detail }],
  })
}

function shown(ctx: Context, { key, text }: CreatedApiKey): Record<string, unknown> {
  return { ...describeApiKey(ctx, key), key: text }
}

function withLocation(issuer: string, body: Record<string, unknown>) {
  return { headers: { Location: `${issuer}/api-keys/${body['id']}` }, body }
}

/** Whoever is no administrator has keys of their own alone. @throws {TooManyRequestsError} */
async function countChange(ctx: Context, { admin, owner, by }: Caller): Promise<void> {
  if (!admin) await countOwnChange(ctx, owner, by)
}

/** Attack 114. */
function requireAdmin({ admin }: Caller, pointer: string): void {
  if (!admin) throw forbidden('Only an administrator may do this.', 'not_an_administrator', pointer)
}

/** By its prefix a key is known for what it is, and ended with others: so owners do not choose one. */
function requirePrefix(caller: Caller, kind: ApiKeyKind, prefix: string | undefined): void {
  const own = kindPrefixes[kind]
  if (caller.admin || prefix === undefined || prefix === own) return
  const message = `Only an administrator may choose a prefix other than ${own}, which ${kind} keys have.`
  throw forbidden(message, 'prefix_not_of_kind', '/prefix')
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

/** What is asked for by the operation that ends many. */
interface AskedEnd {
  readonly owner?: ApiKeyOwner
  readonly prefix?: string
  readonly all?: true
  readonly continue?: string
}

function requireOne({ owner, prefix, all, continue: end }: AskedEnd): void {
  if ([owner, prefix, all, end].filter((each) => each !== undefined).length === 1) return
  throw new ProblemError('The body names one of owner, prefix, all and continue.', {
    kind: 'invalid-members',
    reason: 'key_set_unclear',
  })
}

async function keySetOf(ctx: Context, { owner, prefix }: AskedEnd): Promise<KeySet> {
  if (owner) return { kind: 'owner', owner: await resolveOwner(ctx, owner) }
  return prefix === undefined ? { kind: 'all' } : { kind: 'prefix', prefix }
}
