/**
 * Keeps timelines: the codec of stored events, the packed storage engine beneath Axon on H2,
 * PostgreSQL or the heap, checkpoints, projections and the check of integrity.
 *
 * <p>Types of Axon and of databases stay inside this package.
 */
@NullMarked
package dev.faultline.store;

import org.jspecify.annotations.NullMarked;
