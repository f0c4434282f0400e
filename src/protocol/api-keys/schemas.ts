import { Type } from '@sinclair/typebox'

/** What goes over the wire: times by ISO 8601, durations in seconds. Nothing takes a member that it does not name. */
const closed = { additionalProperties: false } as const

const id = Type.String({ pattern: '^[0-9A-Za-z]{16}$', description: 'Public. It stands in the key too.' })
const time = (description: string) => Type.String({ format: 'date-time', description })
const kind = Type.Union([Type.Literal('secret'), Type.Literal('publishable'), Type.Literal('signing')], {
  description: 'secret: for servers; publishable: stands in pages, and reads; signing: requests are signed.',
})
const state = Type.Union(
  [Type.Literal('live'), Type.Literal('rotated'), Type.Literal('expired'), Type.Literal('ended')],
  { description: 'rotated: it has a successor, and is good until expires_at.' },
)
const name = Type.String({ minLength: 1, maxLength: 100 })
const scope = Type.String({ minLength: 1, maxLength: 4000, description: 'Names, each separated by one space.' })
const word = Type.String({ pattern: '^[a-z0-9]{1,16}$' })
const resources = Type.Array(Type.String({ maxLength: 2048 }), {
  maxItems: 100,
  description: 'The APIs that it is for. Default: the one that has the scopes.',
})
const networks = Type.Array(Type.String({ maxLength: 80 }), {
  maxItems: 100,
  description:
    'From where it may be used, in CIDR notation; empty: from anywhere. The networks of its owner bound it besides, but for a ' +
    'publishable key.',
})
const origins = Type.Array(Type.String({ maxLength: 300 }), {
  maxItems: 100,
  description: 'Of the pages that a publishable key stands in.',
})
const jwk = Type.Object(
  {
    kty: Type.Literal('OKP'),
    crv: Type.Literal('Ed25519'),
    x: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
  },
  { ...closed, $id: 'Ed25519PublicKey' },
)
const owner = Type.Object(
  {
    kind: Type.Union([Type.Literal('user'), Type.Literal('client')]),
    id: Type.String({ minLength: 1, maxLength: 254, description: 'A sub or a client_id.' }),
  },
  { ...closed, $id: 'Owner' },
)

const members = {
  id,
  kind,
  prefix: word,
  environment: word,
  owner,
  name: Type.String(),
  description: Type.Optional(Type.String()),
  scope: Type.String(),
  resources: Type.Array(Type.String()),
  networks: Type.Array(Type.String()),
  origins: Type.Optional(Type.Array(Type.String())),
  tier: Type.Optional(Type.String()),
  managed: Type.Optional(
    Type.Boolean({ description: 'True: administrators alone make it wider; its owner may narrow, rotate and end it.' }),
  ),
  created_by_client: Type.Optional(
    Type.String({ description: 'The client_id of the application through which it was made.' }),
  ),
  jwk: Type.Optional(jwk),
  state,
  created_at: time('When it was made.'),
  expires_at: Type.Union([time('When it ends by itself.'), Type.Literal('never')]),
  rotation_due_at: Type.Optional(time('When it is to be rotated, or ends by itself; without it never, or it is done.')),
  rotated_at: Type.Optional(time('When it got its successor.')),
  successor: Type.Optional(id),
  ended_at: Type.Optional(time('When it was ended.')),
  end_reason: Type.Optional(Type.String()),
  exposed_at: Type.Optional(time('When it was seen in an address: it has to be replaced.')),
  last_used_at: Type.Optional(time('When it was used last.')),
  last_used_from: Type.Optional(Type.String({ description: 'The network that it was used from last.' })),
}

/** Of a signing key there is none. */
const key = Type.Optional(Type.String({ description: 'The key itself. It is shown this once, and kept nowhere.' }))

export const apiKey = Type.Object(members, { ...closed, $id: 'ApiKey' })
export const createdApiKey = Type.Object({ ...members, key }, { ...closed, $id: 'CreatedApiKey' })
export const rotatedApiKey = Type.Object({ ...members, key, previous: apiKey }, { ...closed, $id: 'RotatedApiKey' })
export const apiKeyList = Type.Object(
  {
    api_keys: Type.Array(apiKey),
    next_cursor: Type.Optional(Type.String({ description: 'For the next page; without it there is none.' })),
  },
  { ...closed, $id: 'ApiKeyList' },
)
const uuid = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'

export const endedApiKeys = Type.Object(
  {
    ended: Type.Array(id, { description: 'Those that lived; 500 of them at most.' }),
    successors: Type.Array(Type.Object({ ...members, key, previous: id }, { ...closed, $id: 'SucceedingApiKey' })),
    need_key_pair: Type.Array(id, {
      description:
        'Signing keys that would have got successors with this answer. Who has the private half of one must not have that of ' +
        'another: make a new key pair, and a new key.',
    }),
    end: Type.String({ pattern: uuid, description: 'The id of this end, and of its audit event.' }),
    complete: Type.Boolean({
      description:
        'False: all have ended, and some wait for their successors. Ask again with continue and the id of the end.',
    }),
  },
  { ...closed, $id: 'EndedApiKeys' },
)

const count = Type.Integer({ minimum: 0 })
const usedNetwork = Type.Object(
  {
    network: Type.String({
      description: 'A /24 or /64; unknown; introspected, of an API that has only asked; more, of all beyond 100 a day.',
    }),
    api: Type.String({ description: 'Its identifier; empty where none was named.' }),
    count,
    days: Type.Integer({ minimum: 1, description: 'On which it was seen.' }),
    first_seen: time('The first time.'),
    last_seen: time('The last time.'),
  },
  { ...closed, $id: 'UsedNetwork' },
)
const adoption = Type.Object(
  {
    id,
    name: Type.String(),
    owner,
    rotated_at: time('When it got its successor.'),
    ends_at: Type.Optional(time('When it ends.')),
    uses: Type.Integer({ minimum: 0, description: 'Since then.' }),
    last_used_at: Type.Optional(time('The last of them.')),
    callers: Type.Array(usedNetwork, { description: 'Who is still on it.' }),
    successor: id,
    successor_uses: count,
  },
  { ...closed, $id: 'Adoption' },
)
export const usage = Type.Object(
  {
    id,
    since: time('From when on.'),
    uses: Type.Array(
      Type.Object(
        {
          time: time('When the hour or day began, in UTC.'),
          api: Type.String(),
          outcome: Type.String({ description: 'accepted, exchanged, introspected, or why it was refused.' }),
          count,
          scopes: Type.Record(Type.String(), count, { description: 'How many of them were for each scope.' }),
        },
        closed,
      ),
    ),
    networks: Type.Array(usedNetwork),
    adoption: Type.Optional(adoption),
  },
  { ...closed, $id: 'ApiKeyUsage' },
)

export const usageQuery = Type.Object(
  {
    days: Type.Optional(Type.Integer({ minimum: 1, maximum: 90, default: 7 })),
    by: Type.Optional(Type.Union([Type.Literal('hour'), Type.Literal('day')], { default: 'day' })),
  },
  closed,
)

export const listQuery = Type.Object(
  {
    owner: Type.Optional(
      Type.String({
        pattern: '^(user|client):.{1,254}$',
        description: 'user:SUB or client:CLIENT_ID. For administrators; everybody else sees their own.',
      }),
    ),
    prefix: Type.Optional(word),
    state: Type.Optional(state),
    cursor: Type.Optional(Type.String({ maxLength: 200, description: 'The next_cursor of the page before.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 50 })),
  },
  closed,
)

export const createBody = Type.Object(
  {
    name,
    description: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
    scope,
    resources: Type.Optional(resources),
    networks: Type.Optional(networks),
    origins: Type.Optional(origins),
    kind: Type.Optional(kind),
    jwk: Type.Optional(jwk),
    prefix: Type.Optional(
      Type.String({
        pattern: '^[a-z0-9]{1,16}$',
        description: 'Default: sk, pk or sig, by its kind, and these for no other. Any other is for administrators.',
      }),
    ),
    environment: Type.Optional(word),
    expires_in: Type.Optional(
      Type.Union([Type.Integer({ minimum: 60, maximum: 315_360_000 }), Type.Literal('never')], {
        description: 'Seconds. Default: the setting API_KEY_LIFETIME.',
      }),
    ),
    tier: Type.Optional(
      Type.String({ minLength: 1, maxLength: 100, description: 'Of the server. For administrators.' }),
    ),
    owner: Type.Optional(owner),
  },
  { ...closed, $id: 'NewApiKey' },
)

export const changeBody = Type.Object(
  {
    name: Type.Optional(name),
    description: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 500 }), Type.Null()])),
    scope: Type.Optional(scope),
    networks: Type.Optional(networks),
    origins: Type.Optional(origins),
    expires_at: Type.Optional(Type.Union([time('When it ends by itself.'), Type.Literal('never')])),
  },
  { ...closed, $id: 'ApiKeyChange', minProperties: 1, description: 'What is left out stays as it is.' },
)

export const rotateBody = Type.Object(
  {
    overlap: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 31_536_000,
        default: 604_800,
        description: 'Seconds that the key before stays good.',
      }),
    ),
    jwk: Type.Optional(jwk),
  },
  { ...closed, $id: 'Rotation' },
)

export const revokeBody = Type.Object(
  {
    owner: Type.Optional(owner),
    prefix: Type.Optional(word),
    all: Type.Optional(Type.Literal(true)),
    continue: Type.Optional(
      Type.String({
        pattern: uuid,
        description: 'The end whose successors are still awaited. Nothing else is ended.',
      }),
    ),
    replace: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Hands out successors, 500 with one answer at most; none of signing keys.',
      }),
    ),
  },
  { ...closed, $id: 'Revocation', description: 'One of owner, prefix, all and continue.' },
)
