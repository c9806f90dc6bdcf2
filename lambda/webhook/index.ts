import { randomUUID } from 'node:crypto';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { handleEach, type SqsEvent, type SqsResult } from '../job/aws/messages.ts';
import { messageOf } from '../job/aws/queues.ts';
import { required } from '../job/environment.ts';
import { stores, urlRules } from '../job/from-environment.ts';
import { noticeBody } from '../job/notice/body.ts';
import { type Deliverer, deliver } from '../job/notice/deliver.ts';
import { WebhookSecrets } from '../job/notice/secrets.ts';
import { sendWebhook } from '../job/notice/send.ts';
import { signedHeaders } from '../job/notice/sign.ts';
import { stackOf } from '../serving/settle.ts';

const { items, jobs, queues, blobs } = stores(process.env);
const secrets = new WebhookSecrets(items, required(process.env, 'LLM_WEBHOOK_SECRET_ARN'));
const deadLetters = required(process.env, 'LLM_NOTICES_DEAD_LETTER_URL');
const sqs = new SQSClient({ customUserAgent: 'cdk-llm-serving' });
const rules = urlRules(process.env);
const log = (line: object): boolean =>
  process.stdout.write(`${JSON.stringify({ timestamp: new Date().toISOString(), ...line })}\n`);

const deliverer: Deliverer = {
  table: jobs,
  queues,
  async send(job, id) {
    const body = await noticeBody(job, blobs);
    const headers = signedHeaders(body, { id, atMs: Date.now(), secrets: await secrets.of(job.consumer) });
    const sent = await sendWebhook(job.webhookUrl ?? '', { ...rules, headers, body });
    const { ok, status, reason } = sent;
    log({ level: ok ? 'INFO' : 'WARN', message: 'webhook', job: job.id, consumer: job.consumer, ok, status, reason });
    return sent;
  },
  async bury(job, reason) {
    const message = { notice: job.id, consumer: job.consumer, reason };
    await sqs.send(new SendMessageCommand({ QueueUrl: deadLetters, MessageBody: JSON.stringify(message) }));
  },
  now: Date.now,
  random: Math.random,
  newRun: randomUUID,
};

export const handler = (event: SqsEvent): Promise<SqsResult> =>
  handleEach(
    event,
    async ({ body }) => {
      const message = messageOf(body);
      if (!('notice' in message)) throw new Error('no message for a deliverer');
      await deliver(message.notice, deliverer);
    },
    ({ messageId }, thrown) => {
      const error = thrown instanceof Error ? thrown : new Error('not an error');
      log({
        level: 'ERROR',
        message: 'webhook message failed',
        message_id: messageId,
        error: error.name,
        at: stackOf(error),
      });
    },
  );
