/** A lock file of npm, version 3: what is read of it. */
export interface Lock {
  readonly packages: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

export interface Package {
  readonly path: string
  readonly name: string
  readonly version: string
  readonly license: string | undefined
  readonly optional: boolean
  /** Installed with the server. */
  readonly production: boolean
}

export interface BillOfMaterials {
  readonly bomFormat: string
  readonly specVersion: string
  readonly serialNumber: string
  readonly metadata: { readonly component: Readonly<Record<string, unknown>> }
  readonly components: readonly Readonly<Record<string, unknown>>[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

export interface Exception {
  /** GHSA-… */
  readonly id: string
  readonly package: string
  readonly reason: string
  /** The last day on which it counts, as 2026-12-31. */
  readonly until: string
}

export interface Finding {
  readonly id: string
  readonly name: string
  readonly severity: string
  readonly title: string
  readonly reason?: string
}

export interface Judged {
  readonly open: readonly Finding[]
  readonly excused: readonly Finding[]
  readonly elsewhere: readonly Finding[]
}

export const allowedLicenses: readonly string[]
export function packagesOf(lock: Lock): readonly Package[]
export function productionOnly(bom: BillOfMaterials, lock: Lock): BillOfMaterials
export function problemsOf(bom: BillOfMaterials, lock: Lock): readonly string[]
export function judgeAudit(
  report: unknown,
  lock: Lock,
  exceptions: readonly Exception[],
  today: string,
): Judged | undefined
