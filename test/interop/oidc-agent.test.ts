import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { tls } from '../support/own-tls.js'
import { makeFolder, waitFor } from '../support/process.js'
import { visitByQuery } from '../support/relying-party.js'
import { createRunningServer, freePort } from '../support/running-server.js'

const skip = existsSync('/usr/bin/oidc-gen') ? false : 'no oidc-agent was found: install oidc-agent-cli'

t.test(
  'oidc-agent (in C), over our own TLS: registration, login, UserInfo, refresh, revocation',
  { skip },
  async (t) => {
    const server = await createRunningServer(t, { env: { ...tls, REGISTRATION: 'open' } })
    const { issuer } = server.ctx.config.server
    const redirectUri = `http://localhost:${await freePort()}`
    const { clientId, clientSecret } = await server.createClient({
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid profile email offline_access',
    })
    const person = await server.createUser()

    const folder = await makeFolder(t)
    const socket = join(folder, 'agent.socket')
    const env = { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder, OIDC_SOCK: socket, PASSWORD: 'of this test' }
    const start = (command: string, args: readonly string[]) => {
      const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
      t.teardown(async () => {
        child.kill()
        await ended
        if (!t.passing()) t.comment(`${command}: ${output}`)
      })
      return { output: () => output, ended }
    }
    const run = async (command: string, args: readonly string[]): Promise<string> => {
      const { output, ended } = start(command, args)
      t.equal(await ended, 0, `${command} ${args[0]}`)
      return output().trim()
    }
    start('oidc-agent', ['--console', '--no-scheme', '-a', socket])
    await waitFor(() => existsSync(socket), 30, 'the agent did not start')

    const accounts = {
      registered: { 'client-id': clientId, 'client-secret': clientSecret, 'redirect-uri': redirectUri },
      // By RFC 7591; it also deletes itself by RFC 7592.
      byItself: { port: await freePort() },
    }
    const clientIds: string[] = []
    for (const [account, given] of Object.entries(accounts)) {
      const made = start('oidc-gen', [
        ...Object.entries({ iss: issuer, ...given }).map(([name, value]) => `--${name}=${value}`),
        ...['--scope=openid profile email offline_access', `--cert-path=${tls.TLS_CERT_FILE}`, '--pw-env=PASSWORD'],
        ...['--no-scheme', '--no-url-call', '--prompt=none', '--confirm-default', '--flow=code', account],
      ])
      const address = (): string | undefined => /https:\S+\/authorize\?\S+/.exec(made.output())?.[0]
      await waitFor(() => address() !== undefined, 30, 'the agent sent nobody anywhere')
      const sent = new URL(address() ?? '')
      clientIds.push(sent.searchParams.get('client_id') ?? '')
      await fetch(await visitByQuery(server, sent, person))
      t.equal(await made.ended, 0)

      const token = await run('oidc-token', [account])
      const userInfo = await server.get('/userinfo', { authorization: `Bearer ${token}` })
      t.match(userInfo.json(), { sub: person.id, name: 'Ada', email: person.email })
      t.not(await run('oidc-token', ['--time=3000', account]), token)
      await run('oidc-gen', ['--delete', '--confirm-yes', '--prompt=none', '--pw-env=PASSWORD', account])
      t.equal((await server.get('/userinfo', { authorization: `Bearer ${token}` })).statusCode, 401)
    }
    const refreshed = await server.audit('token.refreshed')
    t.same(new Set(refreshed.map(({ clientId }) => clientId)), new Set(clientIds))
    t.match(await server.audit('grant.revoked'), [{ clientId, reason: 'revoked_by_client' }])
    t.same(await Promise.all(clientIds.map(async (id) => (await server.ctx.clients.find(id))?.clientId)), [
      clientId,
      undefined,
    ])
  },
)
