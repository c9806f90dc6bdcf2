/** What the functions of a `JobQueue` are told. The names stand in `lambda/job/environment.ts` too. */
export const JOBS_TABLE_ENV = 'LLM_JOBS_TABLE';
export const JOBS_BUCKET_ENV = 'LLM_JOBS_BUCKET';
export const JOBS_QUEUE_URL_ENV = 'LLM_JOBS_QUEUE_URL';
export const NOTICES_QUEUE_URL_ENV = 'LLM_NOTICES_QUEUE_URL';
export const NOTICES_DEAD_LETTER_URL_ENV = 'LLM_NOTICES_DEAD_LETTER_URL';
export const JOBS_RETENTION_ENV = 'LLM_JOBS_RETENTION_SECONDS';
export const WEBHOOK_SECRET_ARN_ENV = 'LLM_WEBHOOK_SECRET_ARN';
