/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.bakery;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The way to wherever the bakery keeps its batches; a test puts a map in its place.
 *
 * @param <I> what identifies a batch there
 */
public interface BatchStore<I extends Comparable<? super I>> {

  /**
   * Looks a batch up.
   *
   * @param id its identity in the store
   * @return the batch, or nothing when the store has none of that identity
   */
  Optional<Batch> find(I id);

  /** Stores a batch under an identity; what stood there before is gone. */
  void put(I id, Batch batch);

  Map<I, Batch> all();

  /** Finds the batch or makes it, so that a caller need not ask twice. */
  default Batch getOrCreate(I id, Supplier<? extends Batch> maker) {
    return find(id).orElseGet(() -> {
      Batch made = maker.get();
      put(id, made);
      return made;
    });
  }

  /** Copies every batch of another store that this one lacks, and returns how many came over. */
  default int adoptBatches(BatchStore<I> other) {
    int batchesAdopted = 0;
    for (Map.Entry<I, Batch> otherBatch : other.all().entrySet()) {
      if (find(otherBatch.getKey()).isEmpty()) {
        put(otherBatch.getKey(), otherBatch.getValue());
        batchesAdopted++;
      }
    }
    return batchesAdopted;
  }
}
