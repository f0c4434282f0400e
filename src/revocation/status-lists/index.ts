// Owns Token Status Lists: which index a token gets, and what is set when it, or something above it, is ended.

export { createStatusLists, type StatusBits, type StatusLists } from './bits.js'
export { createStatusIndexes, type StatusIndexes, type StatusRequest, type TakenIndex } from './indexes.js'
export { listUri, placeOf, readListName, type StatusClaim, statusListsPath } from './list-name.js'
