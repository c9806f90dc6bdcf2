import { expect, test } from 'vitest';
import { deploy, HELLO, model, openAiBackend, servingConfig } from '../support/serving.ts';
import { answerText, Upstream } from '../support/upstream.ts';

test('prompts and answers are logged when the owner asks for it, images by their size', async () => {
  const up = await Upstream.start(answerText('the answer'));
  const { chat, log } = deploy(servingConfig([model([openAiBackend(up.url)])], { logContent: true }));
  const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(5000)}` } };
  const messages = [{ role: 'user', content: [{ type: 'text', text: 'the question' }, image] }];
  await chat({ ...HELLO, messages });
  await chat({ ...HELLO, messages, stream: true });
  await up.stop();
  const content = log.filter((line) => line.message === 'content').map((line) => JSON.stringify(line));
  expect(content).toHaveLength(2);
  for (const line of content) {
    expect(line).toContain('the question');
    expect(line).toMatch(/the answer|"the ".*"answer"/);
    expect(line.length).toBeLessThan(2000);
  }
});
