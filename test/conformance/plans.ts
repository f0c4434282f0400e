export interface Plan {
  readonly name: string
  readonly variant: Readonly<Record<string, string>>
  /**
   * Whether its clients are those of the command line, without or with back-channel logout or for the implicit flow, or register
   * themselves.
   */
  readonly clients: 'static' | 'static, told' | 'static, implicit' | 'dynamic'
}

const known = { server_metadata: 'discovery', client_registration: 'static_client' }
const selfMade = { server_metadata: 'discovery', client_registration: 'dynamic_client' }
const code = { response_type: 'code' }

/** Every module of OpenID Connect that fits such clients, registered by themselves; for no certification. */
function everything(client_auth_type: string, response_mode: string): Plan {
  const variant = { ...code, client_auth_type, response_mode, client_registration: 'dynamic_client' }
  return { name: 'oidcc-test-plan', variant, clients: 'dynamic' }
}

/** By the names that they are chosen by on the command line. Those for a certification come first. */
export const plans: Readonly<Record<string, Plan>> = {
  config: { name: 'oidcc-config-certification-test-plan', variant: {}, clients: 'static' },
  basic: { name: 'oidcc-basic-certification-test-plan', variant: known, clients: 'static' },
  formpost: { name: 'oidcc-formpost-basic-certification-test-plan', variant: known, clients: 'static' },
  dynamic: { name: 'oidcc-dynamic-certification-test-plan', variant: code, clients: 'dynamic' },
  logout: {
    name: 'oidcc-rp-initiated-logout-certification-test-plan',
    variant: { ...code, client_registration: 'static_client' },
    clients: 'static',
  },
  backchannel: {
    name: 'oidcc-backchannel-rp-initiated-logout-certification-test-plan',
    variant: { ...code, client_registration: 'static_client' },
    clients: 'static, told',
  },
  'basic-dynamic': { name: 'oidcc-basic-certification-test-plan', variant: selfMade, clients: 'dynamic' },
  'backchannel-dynamic': {
    name: 'oidcc-backchannel-rp-initiated-logout-certification-test-plan',
    variant: { ...code, client_registration: 'dynamic_client' },
    clients: 'dynamic',
  },
  implicit: { name: 'oidcc-implicit-certification-test-plan', variant: known, clients: 'static, implicit' },
  'formpost-implicit': {
    name: 'oidcc-formpost-implicit-certification-test-plan',
    variant: known,
    clients: 'static, implicit',
  },
  'implicit-dynamic': { name: 'oidcc-implicit-certification-test-plan', variant: selfMade, clients: 'dynamic' },
  'dynamic-id_token': {
    name: 'oidcc-dynamic-certification-test-plan',
    variant: { response_type: 'id_token' },
    clients: 'dynamic',
  },
  'dynamic-id_token-token': {
    name: 'oidcc-dynamic-certification-test-plan',
    variant: { response_type: 'id_token token' },
    clients: 'dynamic',
  },
  'logout-dynamic': {
    name: 'oidcc-rp-initiated-logout-certification-test-plan',
    variant: { ...code, client_registration: 'dynamic_client' },
    clients: 'dynamic',
  },
  'third-party-login': { name: 'oidcc-3rdparty-init-login-certification-test-plan', variant: code, clients: 'dynamic' },
  'all-post': everything('client_secret_post', 'default'),
  'all-private_key_jwt': everything('private_key_jwt', 'default'),
  'all-private_key_jwt-formpost': everything('private_key_jwt', 'form_post'),
}
