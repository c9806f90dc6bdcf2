import { errorOf } from '../api/job-view.ts';
import type { Job } from '../job.ts';
import type { Blobs } from '../ports.ts';

export interface ResultLine {
  /** Absent for a line that has nothing to tell: it was cancelled before it ran. */
  readonly text?: string;
  readonly isError: boolean;
}

/** A line of the output or the error file, in OpenAI's form. */
export async function resultLine(job: Job | undefined, id: string, blobs: Blobs): Promise<ResultLine> {
  if (job === undefined || job.status === 'cancelled') return { isError: true };
  const line = { id, custom_id: job.customId ?? null };
  if (job.status === 'succeeded') {
    const result = job.resultAt === undefined ? job.result : await blobs.get(job.resultAt);
    const response = { status_code: 200, request_id: job.id, body: JSON.parse(result ?? 'null') as unknown };
    return { text: JSON.stringify({ ...line, response, error: null }), isError: false };
  }
  if (job.status === 'expired') {
    const error = {
      code: 'batch_expired',
      message: 'This request could not be executed before the completion window expired.',
    };
    return { text: JSON.stringify({ ...line, response: null, error }), isError: true };
  }
  const error = errorOf(job) as { type?: string } | null;
  const response = { status_code: STATUS[error?.type ?? ''] ?? 500, request_id: job.id, body: { error } };
  return { text: JSON.stringify({ ...line, response, error: null }), isError: true };
}

const STATUS: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  rate_limit_error: 429,
};
