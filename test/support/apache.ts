import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { makeFolder, waitFor } from './process.js'

const httpd = '/usr/sbin/apache2'
const modules = '/usr/lib/apache2/modules'

/** For tests that need it: `false` where it is there. */
export const skip =
  existsSync(httpd) && existsSync(`${modules}/mod_auth_openidc.so`)
    ? false
    : 'no Apache httpd with mod_auth_openidc was found: install libapache2-mod-auth-openidc'

/** Apache httpd with a file `page.txt` for whoever is signed in, `out.txt` for everybody, and these directives. */
export async function startApache(t: Test, port: number, directives: Readonly<Record<string, string>>): Promise<void> {
  const folder = await makeFolder(t)
  await writeFile(join(folder, 'page.txt'), 'A page')
  await writeFile(join(folder, 'out.txt'), 'Signed out')
  const names = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'headers', 'auth_openidc']
  const configuration = [
    ...names.map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`),
    `ServerName localhost`,
    `ServerRoot "${folder}"`,
    `DefaultRuntimeDir "${folder}"`,
    `PidFile "${folder}/httpd.pid"`,
    `ErrorLog "${folder}/error.log"`,
    `DocumentRoot "${folder}"`,
    `Listen 127.0.0.1:${port}`,
    // Of an account without rights: httpd does not run as root.
    ...(process.getuid?.() === 0 ? ['User www-data', 'Group www-data'] : []),
    ...Object.entries(directives).map(([name, value]) => `${name} ${value}`),
    '<Location />',
    '  AuthType openid-connect',
    '  Require valid-user',
    '  Header set X-Claims "%{OIDC_CLAIM_sub}e %{OIDC_CLAIM_name}e %{OIDC_CLAIM_email}e"',
    '</Location>',
    '<Location /out.txt>',
    '  AuthType None',
    '  Require all granted',
    '</Location>',
  ]
  await writeFile(join(folder, 'httpd.conf'), `${configuration.join('\n')}\n`)
  const child = spawn(httpd, ['-f', join(folder, 'httpd.conf'), '-DFOREGROUND'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  const errors = (): string => said + (existsSync(`${folder}/error.log`) ? readFileSync(`${folder}/error.log`) : '')
  const exited = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    if (!t.passing()) t.comment(errors())
    child.kill()
    await exited
  })
  await waitFor(
    async () => {
      if (child.exitCode !== null) throw new Error(`Apache httpd ended: ${errors()}`)
      const answer = await fetch(`http://127.0.0.1:${port}/out.txt`).catch(() => undefined)
      await answer?.body?.cancel()
      return answer !== undefined
    },
    30,
    'Apache httpd did not start',
  )
}
