import { randomBytes } from 'node:crypto';

/** 128 random bits as 32 characters. Only the caller that it is given to can name what it stands for. */
export const newSecret = (): string => randomBytes(16).toString('hex');

const SECRET_STEP = /^(\/v1\/(?:permits|sessions)\/)[^/?]+/;

/** The path of a request without its query and without the secret in it, for messages and logs. */
export const shownPath = (url: string): string => (url.split('?')[0] ?? '').replace(SECRET_STEP, '$1***');
