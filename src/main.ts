#!/usr/bin/env node
export {}

const [command, ...rest] = process.argv.slice(2)
const roles = {
  start: { serve: true, work: true },
  serve: { serve: true, work: false },
  work: { serve: false, work: true },
} as const

// Loaded when asked for: a server needs no command line in memory, and a command no server.
if (command !== undefined && Object.hasOwn(roles, command) && rest.every((argument) => argument === '--demo')) {
  const { start } = await import('./cli/start.js')
  try {
    await start({ ...roles[command as keyof typeof roles], demo: rest.includes('--demo') })
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  }
} else {
  const { runCommand } = await import('./cli/run.js')
  const { stdin, stdout, stderr, env } = process
  // `ostiary … | head`: who waits for a write hears of it, and what would run on is stopped; nobody needs a stack trace.
  const closed = new AbortController()
  stdout.on('error', () => closed.abort())
  stderr.on('error', () => undefined)
  process.exitCode = await runCommand(process.argv.slice(2), { stdin, stdout, stderr, env, signal: closed.signal })
}
