// Given to a server process by `--import`: at SIGUSR2 it collects its garbage and writes what is left into the file that
// OSTIARY_FAULT_MEMORY names.

import { renameSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const file = process.env.OSTIARY_FAULT_MEMORY
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

process.on('SIGUSR2', () => {
  collect()
  // In one piece, for whoever waits for it.
  writeFileSync(`${file}.new`, JSON.stringify(process.memoryUsage()))
  renameSync(`${file}.new`, file)
})
