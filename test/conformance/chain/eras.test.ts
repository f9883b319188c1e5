/** The tests of eras/ through a chain of two gateways. */
import { expectAll } from './chained.js';
import '../eras/rows/calls.js';
import '../eras/rows/lists.js';
import '../eras/rows/progress.js';
import '../eras/rows/questions.js';
import '../eras/rows/capabilities.js';
import '../eras/rows/cancel.js';
import '../eras/rows/changes.js';
import '../eras/rows/subscriptions.js';
import '../eras/rows/ping.js';
import '../eras/rows/tasks.js';
import { ERAS } from '../chain-exceptions.js';

expectAll(ERAS);
