import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Whether dist/ is as new as src/, here and in our packages.
 *
 * @param {string} root
 * @returns {boolean}
 */
export function isBuilt(root) {
  const packages = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name))
  return [root, ...packages].every((folder) => {
    const main = join(folder, 'dist/main.js')
    return existsSync(main) && newest(join(folder, 'src'), join(folder, 'src/store/prisma')) <= statSync(main).mtimeMs
  })
}

/** The time of the newest file, without those that the build itself makes. */
function newest(folder, generated) {
  if (folder === generated) return 0
  const times = readdirSync(folder, { withFileTypes: true }).map((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? newest(path, generated) : statSync(path).mtimeMs
  })
  return Math.max(0, ...times)
}
