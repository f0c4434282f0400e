// What is measured: candidates side by side, of which the first is the ceiling. `goal` is the least ratio to it.

export const scenarios = [
  {
    name: 'client_credentials, JWT ES256',
    candidates: [
      { name: 'ceiling: Fastify, form, batched signature', server: 'bare', job: 'clientCredentials' },
      { name: 'Ostiary', server: 'ostiary', job: 'clientCredentials', goal: 0.75 },
      { name: 'oidc-provider, in memory', server: 'oidc-provider', job: 'clientCredentials' },
    ],
  },
  {
    name: 'JWKS',
    candidates: [
      { name: 'ceiling: Fastify, fixed bytes', server: 'bare', job: 'jwks' },
      { name: 'Ostiary', server: 'ostiary', job: 'jwks', goal: 0.9 },
    ],
  },
  {
    name: 'Metadata',
    candidates: [
      { name: 'ceiling: Fastify, fixed bytes', server: 'bare', job: 'metadata' },
      { name: 'Ostiary', server: 'ostiary', job: 'metadata', goal: 0.9 },
    ],
  },
  {
    name: 'Introspection',
    prepare: 'introspection',
    candidates: [
      { name: 'ceiling: Fastify, form, fixed JSON', server: 'bare', job: 'introspect' },
      { name: 'Ostiary, the same JWT again', server: 'ostiary', job: 'introspectSame', goal: 0.6 },
      { name: 'Ostiary, a fresh JWT each time', server: 'ostiary', job: 'introspectFresh', goal: 0.3 },
      { name: 'Ostiary, opaque tokens', server: 'ostiary', job: 'introspectOpaque', goal: 0.4 },
    ],
  },
  {
    name: 'Refresh rotation, fsync on',
    prepare: 'refresh',
    candidates: [
      { name: 'ceiling: Fastify, one batched statement, batched signature', server: 'bare', job: 'refresh' },
      { name: 'Ostiary', server: 'ostiary', job: 'refresh', goal: 0.6 },
    ],
  },
]
