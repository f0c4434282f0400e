type Fields = Readonly<Record<string, string>>

/** Several limits are a list in each field. @returns undefined where there is none */
export function joinFields(all: readonly (Fields | undefined)[]): Fields | undefined {
  const given = all.filter((each) => each !== undefined)
  if (given.length < 2) return given[0]
  const names = new Set(given.flatMap(Object.keys))
  return Object.fromEntries([...names].map((name) => [name, given.flatMap((each) => each[name] ?? []).join(', ')]))
}
