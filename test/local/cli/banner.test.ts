import { beforeAll, expect, test } from 'vitest';
import { type BannerFacts, banner } from '../../../local/cli/banner.ts';
import { fleetStack, type StartedFleet, startFleet } from '../support/fleet.ts';

let fixed: StartedFleet;
let sleeping: StartedFleet;
beforeAll(async () => {
  fixed = await startFleet(fleetStack({ tasks: 2 }));
  sleeping = await startFleet(fleetStack({ tasks: 0, scaling: { min: 0, max: 3 } }));
});

function bannerOf(run: Partial<BannerFacts['run']>, facts: Partial<BannerFacts> = {}): string {
  return banner({
    run: {
      ...{ url: 'http://127.0.0.1:1/v1', apiKey: 'key', keys: { team: 'key' } },
      ...{ gaps: [], missingSecrets: [], fleets: [] },
      ...run,
    },
    ...{ model: 'simulated', modelName: 'chat', endpointFile: '.local/endpoint.json', realAws: false, speed: 1 },
    ...facts,
  });
}

test('says where the API is, and whose keys there are', () => {
  const text = bannerOf({});
  expect(text).toContain('Ready: http://127.0.0.1:1/v1');
  expect(text).toContain('API key of team: key');
  expect(text).not.toContain('Fleets');
});

test('tells a fleet without an API from an API, which alone has a dashboard', () => {
  expect(bannerOf({ dashboardUrl: 'http://127.0.0.1:1/dashboard' })).toContain(
    'Dashboard: http://127.0.0.1:1/dashboard',
  );
  const text = bannerOf({});
  expect(text).not.toContain('Dashboard');
  expect(text).toContain('the load balancer of the fleet');
});

test('says of a fleet its engine, its size, what it does now, and where its load balancer is', () => {
  const { fleets, fleet } = fixed;
  expect(bannerOf({ fleets: fleets.all })).toContain(
    `Fleets, whose engines are simulated over simulated:\n  Stack: 2 tasks of vllm, 2 starting; load balancer at ${fleet.url}`,
  );
});

test('says of a fleet that scales its limits, that it sleeps, and how fast its time passes', () => {
  const text = bannerOf({ fleets: sleeping.fleets.all }, { speed: 60, model: 'upstream http://127.0.0.1:2/v1' });
  expect(text).toContain(
    'Fleets, whose engines are simulated over upstream http://127.0.0.1:2/v1; 60 seconds pass for them in one (--speed 1: as on AWS):',
  );
  expect(text).toContain('0 to 3 tasks of vllm, asleep, a request wakes it');
});

test('lists what has no value and what nothing stands in for', () => {
  const arn = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:openai-key';
  const text = bannerOf({
    missingSecrets: [arn],
    gaps: [{ what: 'AWS::WAFv2::WebACL', count: 1, meaning: 'it is not run' }],
  });
  expect(text).toContain(`  ${arn} (`);
  expect(text).toContain('Not stood in for:\n  AWS::WAFv2::WebACL (1): it is not run');
});
