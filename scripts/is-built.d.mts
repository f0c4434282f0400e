/** Whether dist/ is as new as src/. */
export function isBuilt(root: string): boolean
