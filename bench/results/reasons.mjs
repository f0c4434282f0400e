// Why a goal is missed, in the figures of the same run.

import { megabytes, milliseconds, percent } from './text.mjs'

/**
 * @param kind what kind of goal it is
 * @param about the figures that it was judged by
 * @returns undefined where this run does not show why
 */
export function reasonOf(kind, about, results) {
  return reasons[kind]?.(about, results)
}

const reasons = {
  ceiling({ scenario, candidate, ceiling }, { profile, node }) {
    const found = profileOf(profile, scenario, candidate)
    const sentences = [
      `${candidate.cpu.toFixed(0)} µs of CPU against ${ceiling.cpu.toFixed(0)}, which is ${(ceiling.cpu / candidate.cpu).toFixed(2)}.`,
    ]
    if (candidate.busy > 0.9) {
      sentences.push(`The load had ${percent(candidate.busy)} of its core, and was the limit beyond that.`)
    }
    const verify = node?.signatures?.[0]?.verify
    if (verify !== undefined && /fresh JWT/.test(candidate.name)) {
      const alone = (ceiling.cpu / (ceiling.cpu + verify)).toFixed(2)
      sentences.push(
        `To check an ES256 signature takes ${verify.toFixed(0)} µs in a loop that does nothing else: the ceiling with it would be ${alone}.`,
      )
    }
    if (found !== undefined) sentences.push(`By the profile: ${inMicroseconds(found)}.`)
    return sentences.join(' ')
  },

  peer({ ceiling, peer, ours }) {
    const most = (ceiling.rate / peer.rate).toFixed(1)
    const durable = ceiling.name.includes('batched statement')
    const disk = ' Both wait for the disk at each commit; the peer keeps everything in memory.'
    return `The ceiling does ${most} times what oidc-provider does here, and this server ${(ours.rate / ceiling.rate).toFixed(2)} of the ceiling.${durable ? disk : ''}`
  },

  beside({ candidate, other }) {
    return `${candidate.cpu.toFixed(0)} µs of CPU a request against ${other.cpu.toFixed(0)}.`
  },

  logins({ busy, idle, beside }) {
    return `PostgreSQL, the load (${percent(busy)} of a core) and the hashing of passwords share two cores with the server: ${milliseconds(beside - idle)} more is what a turn of the others takes.`
  },

  memory({ idle, minutes }) {
    const course = minutes.map(({ rss }) => megabytes(rss)).join(', ')
    return `It began with ${megabytes(idle)} and had ${course} after each minute. What comes to the first: 16 MB twice for young objects and as much while they are collected, 19 MiB for each password that is being hashed and a heap for its thread, code that was compiled, and what is remembered (clients, checked tokens, 128 KiB of each status list in which something is set).`
  },

  growth({ empty, grown }) {
    return `A request costs ${(grown.cpu / empty.cpu).toFixed(2)} times the CPU of the server, which had ${percent(grown.core)} of its core and ${percent(empty.core)} on the empty database: the rest waited for PostgreSQL, which shares the other core with the load and writes pages that lie apart among millions.`
  },

  dropped({ bytes, took }) {
    return `The job asks for the lock of each table for 50 ms at most, gives way to what runs, and comes again after a pause; ${milliseconds(took)} is all of that together with the files of ${(bytes / 1e9).toFixed(1)} GB.`
  },

  slowest({ p99, slowestOtherwise }) {
    return `Under the same load the slowest request at any other time took ${milliseconds(slowestOtherwise)}, and p99 of all was ${milliseconds(p99)}.`
  },
}

function profileOf(profile, scenario, candidate) {
  const variant = candidate.name.includes(',') ? `${scenario}: ${candidate.name.split(', ')[1]}` : scenario
  return profile?.profiles.find(({ name }) => name === variant || name === scenario)
}

/** The parts of a profile in a few lots, and what other threads did. */
function inMicroseconds({ cpu, busy, core, parts }) {
  const main = (cpu * busy) / core
  const lots = [
    ['signatures and hashes', (name) => name === 'node: crypto'],
    ['HTTP, sockets and the event loop', (name) => /^node: (http|streams)|^native code/.test(name)],
    ['our own code', (name) => name.startsWith('src/')],
    ['the driver of the database', (name) => name === 'pg'],
    ['collecting garbage', (name) => name === 'garbage collection'],
  ]
  const share = (belongs) => parts.filter(({ name }) => belongs(name)).reduce((sum, part) => sum + part.share, 0)
  return [...lots.map(([title, belongs]) => [title, share(belongs) * main]), ['other threads', cpu - main]]
    .filter(([, microseconds]) => microseconds >= 0.005 * cpu)
    .map(([title, microseconds]) => `${title} ${microseconds.toFixed(0)} µs`)
    .join(', ')
}
