// Owns the settings: one file per section says each variable's default, bounds, unit and reason; this one reads them all
// from the environment and `.env`, and reports every problem at once.

import { parseEnv } from 'node:util'
import type { TObject } from '@sinclair/typebox'
import { type ApiKeysConfig, apiKeysVariables, checkApiKeys } from './api-keys.js'
import { type AuditConfig, auditVariables } from './audit.js'
import { type ClientsConfig, clientsVariables, resolveClients } from './clients.js'
import { checkDatabase, type DatabaseConfig, databaseVariables } from './database.js'
import { nearest } from './edit-distance.js'
import { checkKeys, type KeysConfig, keysVariables } from './keys.js'
import { checkLimits, type LimitsConfig, limitsVariables } from './limits.js'
import { type LogConfig, logVariables } from './log.js'
import { type MailConfig, mailVariables, resolveMail } from './mail.js'
import { type OutboundConfig, outboundVariables, resolveOutbound } from './outbound.js'
import { type RegistrationConfig, registrationVariables, resolveRegistration } from './registration.js'
import { type RevocationConfig, resolveRevocation, revocationVariables } from './revocation.js'
import { resolveSecrets, type SecretsConfig, secretsVariables } from './secrets.js'
import { defaultIssuer, resolveServer, type ServerConfig, serverVariables } from './server.js'
import { checkSessions, type SessionsConfig, sessionsVariables } from './sessions.js'
import { type StatusListsConfig, statusListsVariables } from './status-lists.js'
import { checkTokens, type TokensConfig, tokensVariables } from './tokens.js'
import { ConfigError, type Problem, readSection, type Source, type Variable, variablesOf } from './variables.js'

export { ConfigError, type Problem, type Variable }

/** All settings. Frozen: what was checked at start cannot change behind the checks. */
export interface Config {
  readonly server: ServerConfig
  readonly database: Readonly<DatabaseConfig>
  readonly log: Readonly<LogConfig>
  readonly secrets: SecretsConfig
  readonly tokens: Readonly<TokensConfig>
  readonly keys: Readonly<KeysConfig>
  readonly clients: ClientsConfig
  readonly statusLists: Readonly<StatusListsConfig>
  readonly revocation: RevocationConfig
  readonly sessions: Readonly<SessionsConfig>
  readonly apiKeys: Readonly<ApiKeysConfig>
  readonly mail: MailConfig
  readonly limits: Readonly<LimitsConfig>
  readonly outbound: OutboundConfig
  readonly registration: RegistrationConfig
  readonly audit: Readonly<AuditConfig>
}

const SECTIONS: Readonly<Record<keyof Config, TObject>> = {
  server: serverVariables,
  database: databaseVariables,
  log: logVariables,
  secrets: secretsVariables,
  tokens: tokensVariables,
  keys: keysVariables,
  clients: clientsVariables,
  statusLists: statusListsVariables,
  revocation: revocationVariables,
  sessions: sessionsVariables,
  apiKeys: apiKeysVariables,
  mail: mailVariables,
  limits: limitsVariables,
  outbound: outboundVariables,
  registration: registrationVariables,
  audit: auditVariables,
}

/** Every variable there is, in the order of `.env.example`. */
export function describeVariables(): readonly Variable[] {
  return Object.entries(SECTIONS).flatMap(([section, schema]) => variablesOf(section, schema))
}

/**
 * Reads and checks the whole configuration. The environment comes before `.env`; an empty value counts as absent.
 *
 * @param envFile the text of `.env`, not its path
 * @returns the warnings too: for names in the environment that look like ours, and settings that weaken a default
 * @throws {ConfigError} with all problems at once
 */
export function loadConfig({ env, envFile = '' }: LoadConfigOptions): LoadedConfig {
  const problems: Problem[] = []
  const warnings: string[] = []
  // A map: `__proto__` in a file is a name like any other.
  const file = new Map(Object.entries(parseEnv(envFile)))
  const source: Source = {
    text: (name) => env[name] || file.get(name) || undefined,
    refuse: (variable, problem, advice) => problems.push({ variable, problem, advice }),
    warn: (message) => warnings.push(message),
  }

  const names = describeVariables().flatMap(({ name, fileVariable }) => (fileVariable ? [name, fileVariable] : [name]))
  refuseUnknownNames([...file.keys()], names, source)
  refuseStrayLines(envFile, source)
  warnOfSimilarNames(Object.keys(env), names, source)

  const config: Config = {
    server: resolveServer(readSection(source, serverVariables), source),
    database: checkDatabase(readSection(source, databaseVariables), source),
    log: readSection(source, logVariables),
    secrets: resolveSecrets(readSection(source, secretsVariables), source),
    tokens: checkTokens(readSection(source, tokensVariables), source),
    keys: checkKeys(readSection(source, keysVariables), source),
    clients: resolveClients(readSection(source, clientsVariables), source),
    statusLists: readSection(source, statusListsVariables),
    revocation: resolveRevocation(readSection(source, revocationVariables), source),
    sessions: checkSessions(readSection(source, sessionsVariables), source),
    apiKeys: checkApiKeys(readSection(source, apiKeysVariables), source),
    mail: resolveMail(readSection(source, mailVariables), source),
    limits: checkLimits(readSection(source, limitsVariables), source),
    outbound: resolveOutbound(readSection(source, outboundVariables), source),
    registration: resolveRegistration(readSection(source, registrationVariables), source),
    audit: readSection(source, auditVariables),
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return { config: freeze(config), warnings }
}

export interface LoadConfigOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly envFile?: string
}

export interface LoadedConfig {
  readonly config: Config
  readonly warnings: readonly string[]
}

/**
 * The configuration after the server listens. Only `PORT=0` makes a difference: an issuer that nobody named gets the port
 * that the system chose.
 */
export function withListeningPort(config: Config, port: number): Config {
  const { server } = config
  const issuer = server.port === 0 && server.issuer === defaultIssuer(0, server.tls !== undefined)
  if (!issuer) return config
  return freeze({ ...config, server: { ...server, issuer: defaultIssuer(port, server.tls !== undefined) } })
}

const assignment = /^[\t ]*(?:export[\t ]+)?[\w.-]+[\t ]*=[\t ]*(?:"[^"]*"|'[^']*'|`[^`]*`)?[^\n]*$/gm

/** A line that sets nothing is a slip: the parser leaves it out without a word, and a default takes its place. */
function refuseStrayLines(envFile: string, { refuse }: Source): void {
  for (const line of envFile.replace(assignment, '').split('\n')) {
    const text = line.trim()
    if (text === '' || text.startsWith('#')) continue
    // What stands there may be a secret: only what looks like a name is repeated.
    const name = /^[A-Z][A-Z0-9_]*\b/.exec(text)?.[0] ?? '.env'
    refuse(name, 'stands in a line of .env that has no =', 'Write NAME=value, or begin the line with #.')
  }
}

/** `.env` is ours alone, so a name that we do not know is a mistake. */
function refuseUnknownNames(found: readonly string[], known: readonly string[], source: Source): void {
  for (const name of found) {
    if (known.includes(name)) continue
    if (!/^\w+$/.test(name)) {
      // Not repeated: it may be the second line of a secret.
      source.refuse('.env', 'has a line that is no NAME=value', 'Correct it, or put # before it.')
      continue
    }
    const { name: suggestion, distance } = nearest(name.toUpperCase(), known)
    const close = distance <= Math.max(2, Math.floor(name.length / 3))
    const advice = close ? `Did you mean ${suggestion}?` : 'Remove it; .env.example lists every variable.'
    source.refuse(name, 'in .env is unknown', advice)
  }
}

/** The environment belongs to everybody, so only what is a single slip away from one of ours is worth a word. */
function warnOfSimilarNames(found: readonly string[], known: readonly string[], source: Source): void {
  for (const name of found) {
    if (known.includes(name) || UNRELATED.has(name)) continue
    const { name: suggestion, distance } = nearest(name, known)
    if (distance === 1) source.warn(`${name} in the environment has no effect. Did you mean ${suggestion}?`)
  }
}

/** Names that mean something to other programs and stand one edit away from ours. */
const UNRELATED: ReadonlySet<string> = new Set(['POST', 'HOSTS', 'PORTS', 'GHOST', 'SORT', 'MORT', 'FORT'])

function freeze(config: Config): Config {
  for (const section of Object.values(config)) Object.freeze(section)
  if (config.server.tls) Object.freeze(config.server.tls)
  if (config.mail.smtp) Object.freeze(config.mail.smtp)
  if (config.server.trustProxy) Object.freeze(config.server.trustProxy)
  Object.freeze(config.revocation.receivers)
  Object.freeze(config.outbound.allow)
  for (const list of [config.registration.scopes, config.registration.grantTypes]) Object.freeze(list)
  Object.freeze(config.registration.redirectHosts)
  return Object.freeze(config)
}
