// The processes of a run: where they are pinned, what they use, and that none outlives it.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const here = dirname(fileURLToPath(import.meta.url))

/** Milliseconds for an answer of one of our processes, beyond the time that it was told to take. */
const answerDeadline = 120_000

/** What `npm start` gives Node.js along. */
export const startFlags = JSON.parse(readFileSync(join(here, '../package.json'), 'utf8'))
  .scripts.start.split(' ')
  .filter((word) => word.startsWith('--'))

/** Processes are ended and folders removed, whatever happens. */
const cleanups = []

/** Asked before anything is pinned: afterwards this process sees fewer cores. */
export const pinned = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0

/** Where things run: the server has a core for itself, or everything shares the same two. */
export const serverCore = '0'
export const otherCore = '1'
export const bothCores = '0,1'

export function onEnd(cleanup) {
  cleanups.push(cleanup)
}

/** @returns whether all of it worked */
export async function cleanUp() {
  let worked = true
  for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) {
    try {
      await cleanup()
    } catch (error) {
      console.error(error)
      worked = false
    }
  }
  return worked
}

/** This process, and whatever it starts from now on. */
export function pinSelf(cores = otherCore) {
  if (pinned)
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cores, `${process.pid}`], { stdio: 'ignore' })
}

/** What `work` starts runs on these cores. */
export async function onCores(cores, work) {
  pinSelf(cores)
  try {
    return await work()
  } finally {
    pinSelf()
  }
}

/**
 * One of our own processes, which answers messages.
 *
 * @param node the Node.js that runs it, with `flags`
 */
export function startProcess(file, { cores = otherCore, node = process.execPath, flags = [] } = {}) {
  const child = spawnOn(cores, node, [...flags, join(here, file)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const ask = (question, extra = 0) =>
    new Promise((resolve, reject) => {
      const settle = (act) => (value) => {
        clearTimeout(timer)
        child.off('message', answered)
        child.off('close', closed)
        child.off('error', failed)
        act(value)
      }
      const answered = settle((answer) => (answer.error ? reject(new Error(answer.error)) : resolve(answer)))
      const closed = settle(() => reject(new Error(`${file} ended.`)))
      const failed = settle(reject)
      const timer = setTimeout(settle(reject), answerDeadline + extra, new Error(`${file} does not answer.`))
      child.once('message', answered)
      child.once('close', closed)
      child.once('error', failed)
      child.send(question, (error) => error && failed(error))
    })
  return { pid: child.pid, end: endOf(child, 'SIGKILL'), ask }
}

/** A command, whose output is shown only where it is asked for. @returns its pid and how to end it */
export function startCommand(args, { cores = otherCore, env, cwd, output = 'ignore' } = {}) {
  const child = spawnOn(cores, process.execPath, args, { stdio: ['ignore', output, 'inherit'], env, cwd })
  return { pid: child.pid, end: endOf(child, 'SIGTERM'), child }
}

function spawnOn(cores, program, args, options) {
  // taskset becomes the program: the pid stays the same.
  return pinned ? spawn('taskset', ['--cpu-list', cores, program, ...args], options) : spawn(program, args, options)
}

export function endOf(child, signal) {
  const ended = new Promise((resolve) => child.once('close', resolve))
  const end = async () => {
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), 30_000)
    await ended
    clearTimeout(late)
  }
  onEnd(end)
  return end
}

/** The process and everything that it has started: their ids. */
export function processTree(root) {
  const parents = new Map()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const parent = statOf(entry)?.parent
    if (parent !== undefined) parents.set(Number(entry), parent)
  }
  const tree = [root]
  for (const pid of tree) tree.push(...[...parents].filter(([, parent]) => parent === pid).map(([child]) => child))
  return tree
}

/** Seconds of CPU that these have used. */
export function cpuOf(pids) {
  return pids.reduce((sum, pid) => sum + (statOf(pid)?.cpu ?? 0), 0)
}

/** Bytes resident. */
export function rssOf(pid) {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

/** Bytes, with what several of them share counted once. Undefined where the system does not tell us. */
export function pssOf(pids) {
  let sum = 0
  for (const pid of pids) {
    try {
      const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]
      sum += Number(kilobytes ?? 0) * 1024
    } catch (error) {
      if (error.code === 'EACCES' || error.code === 'EPERM') return undefined
      // One of them has just ended.
    }
  }
  return sum
}

export function parentOf(pid) {
  return statOf(pid)?.parent
}

function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name before the last parenthesis may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { parent: Number(fields[1]), cpu: (Number(fields[11]) + Number(fields[12])) / ticks }
  } catch {
    return undefined
  }
}

/** Of Linux, for programs: it has been this for decades, whatever the kernel's own. */
const ticks = 100
