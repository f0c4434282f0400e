import type { DemoMode } from '../app.js'
import type { DemoAccounts } from '../demo/index.js'
import type { Config } from '../platform/config/index.js'

/** What a person at the terminal is shown when the server is ready; passwords and secrets at the first start alone. */
export function printWelcome(config: Config, demo: { accounts: DemoAccounts | undefined; mode: DemoMode }): void {
  const { issuer } = config.server
  const { accounts, mode } = demo
  const lines = ['', `  Ostiary runs at ${issuer}`, '']
  if (accounts) {
    const { admin, user, service, api } = accounts
    lines.push(
      '  These are shown once:',
      '',
      `    Administrator   ${admin.email}`,
      `      password      ${admin.password}`,
      `    Demo user       ${user.email}`,
      `      password      ${user.password}`,
      `    Demo client     ${service.clientId}`,
      `      secret        ${service.clientSecret}`,
      `    Demo API        ${api.clientId}`,
      `      secret        ${api.clientSecret}`,
      '',
      '  Get a token:',
      '',
      `    curl -u '${service.clientId}:${service.clientSecret}' -d grant_type=client_credentials ${issuer}/token`,
      '',
      '  Start an API that takes it, and refuses it at once when it is revoked:',
      '',
      `    ISSUER=${issuer} CLIENT_ID=${api.clientId} CLIENT_SECRET=${api.clientSecret} \\`,
      '      node examples/api-fastify/server.mjs',
      '',
    )
  }
  lines.push('  Sign in as the demo user, and look at the tokens:', '', `    ${mode.url}`, '')
  process.stdout.write(`${lines.join('\n')}\n`)
}
