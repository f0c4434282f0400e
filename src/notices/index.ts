// Owns what owners are told about their credentials: when these are to be rotated, and that one leaked; kept for them to read,
// and sent by mail.

export { deliverNotice, nameDestinations } from './deliver.js'
export { describeNotice, forgetOldNotices, listNotices, type NoticeRequest, newNotice, notifyOwner } from './notices.js'
export { remindOwners } from './reminders.js'
export { type DueRotations, dueRotations, rotateEveryOf, rotationDueAt } from './rotation-policy.js'
export { noticeText } from './text.js'
