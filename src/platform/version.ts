import { readFileSync } from 'node:fs'

/** This release, as in package.json. The path is the same from `src` and from `dist`. */
export const version: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
