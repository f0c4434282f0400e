import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { browserConfig, type Person } from './browser.js'
import type { Plan } from './plans.js'

const program = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

/** Runs a command of `ostiary`, beside the server and with the same settings. */
async function ostiary(command: readonly string[], input?: string): Promise<unknown> {
  const running = promisify(execFile)(process.execPath, [program, ...command, '--json'], { maxBuffer: 1 << 24 })
  running.child.stdin?.end(input)
  const { stdout } = await running
  return JSON.parse(stdout)
}

/** Brings in the successors of all signing keys; those before stay published. */
export async function rotateKeys(): Promise<void> {
  await ostiary(['key', 'rotate', '--now'])
}

/** All of the standard claims. OIDC Core §5.1. */
const profile = {
  given_name: 'Cora',
  family_name: 'Formance',
  middle_name: 'Ann',
  nickname: 'Co',
  preferred_username: 'cora',
  profile: 'https://people.example/cora',
  picture: 'https://people.example/cora.png',
  website: 'https://cora.example',
  gender: 'female',
  birthdate: '1990-02-03',
  zoneinfo: 'Europe/Paris',
  locale: 'en-GB',
  phone_number: '+33 1 23 45 67 89',
  phone_number_verified: true,
  address: { street_address: '1 Main Street', locality: 'Paris', postal_code: '75001', country: 'France' },
}

/** A user of whom all is known. */
export async function createPerson(): Promise<Person> {
  const person = {
    email: `conformance-${randomBytes(4).toString('hex')}@example.com`,
    password: randomBytes(18).toString('base64url'),
  }
  const named = ['--email', person.email, '--name', 'Cora Formance', '--password-stdin']
  await ostiary(['user', 'create', ...named], person.password)
  const known = ['--profile', '-', '--email-verified']
  await ostiary(['user', 'update', person.email, ...known], JSON.stringify(profile))
  return person
}

/** A client of the command line, exempt from PKCE: the suite's clients do not know it. */
async function createClient(name: string, testsAt: string, method: string, more: object = {}) {
  const metadata = {
    client_name: name,
    redirect_uris: [`${testsAt}/callback`],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: method,
    scope: 'openid profile email address phone offline_access',
    require_pkce: false,
    request_object_signing_alg: 'none',
    post_logout_redirect_uris: [`${testsAt}/post_logout_redirect`],
    ...more,
  }
  const client = (await ostiary(['client', 'create', '--from-json', '-'], JSON.stringify(metadata))) as {
    readonly client_id: string
    readonly client_secret: string
  }
  return { client_id: client.client_id, client_secret: client.client_secret }
}

const alias = 'ostiary'

/** What our metadata has that no specification knows: said to be known, since the suite warns of what is not. */
const ownMetadata = [
  ...['revocation_feed_endpoint', 'revocation_snapshot_endpoint', 'rate_limits_endpoint', 'usage_endpoint'],
]

/** What the suite is told of a user of ours and of clients, by the kind of clients of a plan. */
export type Configure = (clients: Plan['clients']) => Promise<object>

/** Registers a user; clients where a plan needs them. */
export async function openInstallation(suite: string, issuer: string): Promise<Configure> {
  const person = await createPerson()
  const testsAt = `${suite}/test/a/${alias}`
  const shared = {
    alias,
    description: 'Ostiary',
    server: {
      discoveryUrl: `${issuer}/.well-known/openid-configuration`,
      login_hint: person.email,
      allow_unexpected_metadata_fields: ownMetadata,
    },
    ...browserConfig(issuer, person),
  }
  const clientsOf: Readonly<Record<Plan['clients'], () => Promise<object>>> = {
    static: async () => ({
      client: await createClient('Conformance one', testsAt, 'client_secret_basic'),
      client2: await createClient('Conformance two', testsAt, 'client_secret_basic'),
      client_secret_post: await createClient('Conformance post', testsAt, 'client_secret_post'),
    }),
    // Other plans take a logout token for a mistake.
    'static, told': async () => ({
      client: await createClient('Conformance told', testsAt, 'client_secret_basic', told),
    }),
    'static, implicit': async () => ({
      client: await createClient('Conformance implicit', testsAt, 'client_secret_basic', implicit),
      client2: await createClient('Conformance implicit, two', testsAt, 'client_secret_basic', implicit),
    }),
    dynamic: async () => ({ client: { client_name: 'Conformance one' }, client2: { client_name: 'Conformance two' } }),
  }
  const told = {
    backchannel_logout_uri: `${testsAt}/backchannel_logout`,
    backchannel_logout_session_required: true,
  }
  const implicit = { grant_types: ['implicit'], response_types: ['id_token', 'id_token token'] }
  return async (clients) => ({ ...shared, ...(await clientsOf[clients]()) })
}
