#!/usr/bin/env node
// `resource-server explain TOKEN --issuer … --audience …`

import process from 'node:process'
import { parseArgs } from 'node:util'
import { connect } from './connect.js'
import { messageOf } from './errors.js'
import { explain, type Finding } from './explain.js'
import { readOptions } from './options.js'

const usage = `Usage: resource-server explain [TOKEN] --issuer URL --audience IDENTIFIER [--client-id ID] [--tokens gateway]

Says check by check why an access token or API key is or would be refused by the API. It is never printed.
Without TOKEN, or with -, it is read from standard input, and stands in no list of processes.
With --client-id the server is asked, too; the secret is read from the variable CLIENT_SECRET.
With --tokens gateway it is taken for what a gateway passed on, of which the server is asked nothing.

The exit status is 0 for a token that would be accepted, 1 for one that would not, 2 for wrong usage, and 3 where not all of
it could be seen.
`

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      issuer: { type: 'string' },
      audience: { type: 'string' },
      'client-id': { type: 'string' },
      tokens: { type: 'string', default: 'access' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  const [command, given = '-', ...more] = positionals
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  const { issuer, audience, 'client-id': clientId } = values
  if (command !== 'explain' || more.length > 0 || issuer === undefined || audience === undefined) {
    process.stderr.write(usage)
    return 2
  }
  const token = given === '-' ? await readInput() : given
  const settings = readOptions({
    issuer,
    audience,
    // Whether it is one of them, they say.
    tokens: values.tokens as 'access' | 'gateway',
    credentials: clientId === undefined ? undefined : { clientId, clientSecret: process.env['CLIENT_SECRET'] ?? '' },
    warn: (message) => process.stderr.write(`${message}\n`),
  })
  // Nothing is followed for the sake of one token: what was revoked, introspection says.
  const connection = await connect(settings, 'once')
  const findings = await explain(token.trim(), settings, connection)
  process.stdout.write(describe(findings))
  if (findings.some(({ outcome }) => outcome === 'refused')) return 1
  return findings.some(({ outcome }) => outcome === 'unknown') ? 3 : 0
}

function describe(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length))
  const lines = findings.map(({ name, outcome, detail }) => `${outcome.padEnd(7)}  ${name.padEnd(width)}  ${detail}\n`)
  const verdict = findings.some(({ outcome }) => outcome === 'refused')
    ? 'It is refused.'
    : findings.some(({ outcome }) => outcome === 'unknown')
      ? 'Nothing speaks against it, as far as could be seen.'
      : 'It is accepted.'
  return `${lines.join('')}\n${verdict}\n`
}

async function readInput(): Promise<string> {
  let text = ''
  for await (const piece of process.stdin.setEncoding('utf8')) text += piece
  return text
}

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 2
}
