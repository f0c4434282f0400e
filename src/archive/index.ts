// Owns the archive: a whole installation in one file, sealed. A backup and an export are the same but for the key.

export { ArchiveError, type ArchiveHeader, type ArchiveKind, type KeySource, readHeader } from './format.js'
export { type Restoration, type RestoreOptions, restoreArchive, verifyArchive } from './restore.js'
export { type Progress, type Saved, type SaveOptions, saveArchive, type TableCount } from './save.js'
