// What is measured one beside the other: candidates, of which the first is the ceiling. `goal` is the least ratio to it,
// `peerGoal` the least ratio of this server to oidc-provider, `beside` another candidate and the least ratio to that. One with an `env` is a server of its own with these settings.

export const scenarios = [
  {
    name: 'client_credentials, JWT ES256',
    peerGoal: 4,
    ceiling: 'a bare Fastify route that parses the form and signs all tokens of one turn of the event loop in one run.',
    candidates: [
      { name: 'ceiling: Fastify, form, batched signature', server: 'bare', job: 'clientCredentials' },
      { name: 'Ostiary', server: 'ostiary', job: 'clientCredentials', goal: 0.75 },
      { name: 'oidc-provider, in memory', server: 'oidc-provider', job: 'clientCredentials' },
      {
        name: 'Ostiary, STATUS_LISTS=off',
        server: 'ostiary',
        job: 'clientCredentials',
        env: { STATUS_LISTS: 'off' },
      },
      {
        name: 'Ostiary, client with a tier',
        server: 'ostiary',
        job: 'clientCredentialsLimited',
        beside: { name: 'Ostiary', goal: 0.95 },
      },
    ],
  },
  {
    name: 'JWKS',
    ceiling: 'a bare Fastify route that sends fixed bytes.',
    candidates: [
      { name: 'ceiling: Fastify, fixed bytes', server: 'bare', job: 'jwks' },
      { name: 'Ostiary', server: 'ostiary', job: 'jwks', goal: 0.9 },
    ],
  },
  {
    name: 'Metadata',
    ceiling: 'a bare Fastify route that sends fixed bytes, about as many as the server does.',
    candidates: [
      { name: 'ceiling: Fastify, fixed bytes', server: 'bare', job: 'metadata' },
      { name: 'Ostiary', server: 'ostiary', job: 'metadata', goal: 0.9 },
    ],
  },
  {
    name: 'Introspection',
    prepare: ['introspection'],
    ceiling: 'a bare Fastify route that parses the form and answers fixed JSON. No caller is authenticated.',
    candidates: [
      { name: 'ceiling: Fastify, form, fixed JSON', server: 'bare', job: 'introspect' },
      { name: 'Ostiary, the same JWT again', server: 'ostiary', job: 'introspectSame', goal: 0.6 },
      { name: 'Ostiary, a fresh JWT each time', server: 'ostiary', job: 'introspectFresh', goal: 0.3 },
      { name: 'Ostiary, opaque tokens', server: 'ostiary', job: 'introspectOpaque', goal: 0.4 },
      { name: 'Ostiary, API keys', server: 'ostiary', job: 'introspectKeys', goal: 0.4 },
    ],
  },
  {
    name: 'API key exchanged for a token',
    prepare: ['keys'],
    ceiling:
      'client_credentials at the same server: the key takes the place of the client, and is read from the database by each ' +
      'request, in batches, where the client is in memory.',
    candidates: [
      { name: 'ceiling: Ostiary, client_credentials', server: 'ostiary', job: 'clientCredentials' },
      { name: 'Ostiary', server: 'ostiary', job: 'exchange', goal: 0.5 },
    ],
  },
  {
    name: 'Gateway: /forward-auth',
    prepare: ['gateways'],
    ceiling:
      'a bare Fastify route that answers a GET with fixed JSON. Nobody is authenticated. The server authenticates the gateway, ' +
      'remembers what the credential is worth, and signs anew every 30 s.',
    candidates: [
      { name: 'ceiling: Fastify, fixed JSON', server: 'bare', job: 'fixed' },
      { name: 'Ostiary, the same JWT again', server: 'ostiary', job: 'forwardToken' },
      { name: 'Ostiary, the same API key again', server: 'ostiary', job: 'forwardKey' },
    ],
  },
  {
    name: 'Refresh rotation, fsync on',
    prepare: ['refresh'],
    peerGoal: 3,
    ceiling:
      "a bare Fastify route that runs the server's own statement (`refreshTokens.rotate`: spends the token, writes the " +
      'successor, the stored answer for a retry and the audit event, under a grant, client, user and session that it ' +
      'joins) in the same batches, and signs in batches. No client is authenticated, nothing is read before, nothing ' +
      'encrypted. The last line does less: one small table with nothing to join, and neither answer nor event.',
    candidates: [
      { name: 'ceiling: Fastify, the same batched statement, batched signature', server: 'bare', job: 'refreshSame' },
      { name: 'Ostiary', server: 'ostiary', job: 'refresh', goal: 0.6 },
      { name: 'oidc-provider, in memory', server: 'oidc-provider', job: 'refresh' },
      { name: 'Fastify, a batched statement on one small table, batched signature', server: 'bare', job: 'rotate' },
    ],
  },
  {
    name: 'Code redemption, fsync on',
    prepare: ['codes'],
    peerGoal: 3,
    ceiling:
      "a bare Fastify route that runs the server's own statement (`authorizationCodes.redeem`: spends the code, writes " +
      'the refresh token and the audit event, under a grant, client, user and session that it joins) in the same ' +
      'batches, and signs in batches. No client is authenticated, nothing is read before, no verifier compared. ' +
      'The peer keeps its codes in a Map without a bound, since its own adapter holds 1,000 rows.',
    candidates: [
      { name: 'ceiling: Fastify, the same batched statement, batched signature', server: 'bare', job: 'redeemSame' },
      { name: 'Ostiary', server: 'ostiary', job: 'redeem', goal: 0.6 },
      { name: 'oidc-provider, in memory', server: 'oidc-provider', job: 'redeem' },
    ],
  },
  {
    name: 'Code redemption with an ID token by ES256, fsync on',
    prepare: ['codes'],
    peerGoal: 3,
    ceiling: 'the ceiling of a code redemption, which signs an ID token besides: in the same batches as the token.',
    candidates: [
      { name: 'ceiling: Fastify, the same batched statement, two signatures', server: 'bare', job: 'redeemES256' },
      { name: 'Ostiary', server: 'ostiary', job: 'redeemES256', goal: 0.6 },
      { name: 'oidc-provider, in memory', server: 'oidc-provider', job: 'redeemES256' },
    ],
  },
  {
    name: 'Code redemption with an ID token by RS256, fsync on',
    prepare: ['codes'],
    ceiling:
      'the ceiling of a code redemption, which signs an ID token besides: by RSA of 2,048 bits on the thread pool, as the ' +
      'server does it. That is most of the work, and the peer has as much of it: so no goal is set beside it.',
    candidates: [
      { name: 'ceiling: Fastify, the same batched statement, two signatures', server: 'bare', job: 'redeemRS256' },
      { name: 'Ostiary', server: 'ostiary', job: 'redeemRS256', goal: 0.6 },
      { name: 'oidc-provider, in memory', server: 'oidc-provider', job: 'redeemRS256' },
    ],
  },
  {
    name: 'UserInfo',
    prepare: ['people'],
    ceiling: 'a bare Fastify route that answers a GET with fixed JSON. No token is looked at, and nobody is looked up.',
    candidates: [
      { name: 'ceiling: Fastify, fixed JSON', server: 'bare', job: 'fixed' },
      { name: 'Ostiary, the same JWT again', server: 'ostiary', job: 'userInfo', goal: 0.4 },
      { name: 'Ostiary, a fresh JWT each time', server: 'ostiary', job: 'userInfoFresh' },
    ],
  },
  {
    name: 'Registration, fsync on',
    ceiling:
      'a bare Fastify route that parses the JSON and inserts one row into one small table by a statement of its own: what each ' +
      'registration waits for is its commit. The server reads and checks the metadata, counts the network, and writes client, ' +
      'secret and audit event in a transaction.',
    candidates: [
      { name: 'ceiling: Fastify, one insert', server: 'bare', job: 'register' },
      {
        name: 'Ostiary',
        server: 'ostiary',
        job: 'register',
        env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '100000' },
      },
      { name: 'oidc-provider, in memory', server: 'oidc-provider', job: 'register' },
    ],
  },
  {
    name: 'Login by password',
    prepare: ['logins'],
    connections: 8,
    ceiling:
      'the hash alone, in a loop, two at a time as the server has it: argon2id by @node-rs/argon2 with 19 MiB and two ' +
      "passes, on the same core and thread pool. A login is the POST of the login page's form with cookie and CSRF token, " +
      'up to the redirect that carries the code; every tenth code is redeemed and its token verified.',
    candidates: [
      { name: 'ceiling: argon2id alone', server: 'hash', job: 'hash' },
      { name: 'Ostiary', server: 'ostiary', job: 'login', goal: 0.8 },
    ],
  },
]
