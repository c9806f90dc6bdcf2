import { expect, test } from 'vitest';
import { commandBlocks } from '../../scripts/check/commands.ts';

const FENCE = '```';

test('finds blocks of commands, with their place, marker and commands', () => {
  const markdown = `# Title

${FENCE}sh
npm ci && npm start # and wait
curl -i x \\
  -d y
${FENCE}

- A list:

  ${FENCE}sh account
  aws sts get-caller-identity
  ${FENCE}

${FENCE}ts
const sh = 1;
${FENCE}
`;
  expect(commandBlocks('README.md', markdown)).toEqual([
    { place: 'README.md:3', marker: undefined, commands: ['npm ci', 'npm start', 'curl -i x -d y'] },
    { place: 'README.md:11', marker: 'account', commands: ['aws sts get-caller-identity'] },
  ]);
});
