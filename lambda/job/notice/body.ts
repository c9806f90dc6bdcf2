import { jobView } from '../api/job-view.ts';
import type { Job } from '../job.ts';
import type { Blobs } from '../ports.ts';

/** Bytes. Receivers are asked for no more; a longer result is fetched from the API. */
const MAX_BODY = 256 * 1024;

/** What a receiver is told: the job as the API shows it, with its result unless that is long. */
export async function noticeBody(job: Job, blobs: Blobs): Promise<string> {
  const result = job.resultAt === undefined ? job.result : await blobs.get(job.resultAt);
  const { webhook: _, ...data } = jobView(job, result);
  const whole = JSON.stringify(bodyOf(job, data));
  if (Buffer.byteLength(whole) <= MAX_BODY) return whole;
  const { result: __, ...short } = data;
  return JSON.stringify(bodyOf(job, { ...short, result_omitted: true }));
}

const bodyOf = (job: Job, data: object): object => ({
  type: `job.${job.status}`,
  timestamp: new Date(job.endedAt ?? 0).toISOString(),
  data,
});
