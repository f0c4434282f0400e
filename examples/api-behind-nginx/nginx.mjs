// nginx as a gateway: docs/gateways/nginx.conf at other addresses, with what a program of its own needs around it.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Undefined where it is not installed. */
export const nginx = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find((path) => existsSync(path))

const configuration = new URL('../../docs/gateways/nginx.conf', import.meta.url)

/**
 * @param folder that nobody else may read: the gateway's credential is in it
 * @param server where Ostiary is, `api` what is behind nginx, `listen` where nginx is: each as host and port
 * @param credential of the gateway: `Basic …`
 * @returns its process, which says on standard error what is wrong
 */
export async function startNginx({ folder, server, api, listen, credential }) {
  if (!nginx) throw new Error('nginx was not found: install it, on Debian by `apt-get install nginx-light`.')
  const addresses = { '127.0.0.1:3000': server, '127.0.0.1:8080': api, '127.0.0.1:8088': listen }
  const gateway = (await readFile(configuration, 'utf8')).replaceAll(/127\.0\.0\.1:\d+/g, (each) => addresses[each])
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
  const all = `daemon off; master_process off; pid nginx.pid; error_log stderr; events { worker_connections 1000; }
    http { access_log off; ${temporary.join(' ')} include gateway.conf; }`
  const write = (name, text) => writeFile(join(folder, name), text, { mode: 0o600 })
  await write('gateway.conf', gateway)
  await write('gateway-credential.conf', `set $gateway_credential "${credential}";\n`)
  await write('nginx.conf', all)
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr']
  return spawn(nginx, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
