/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.airfield;

import java.util.Map;
import java.util.Optional;

/**
 * The way to wherever the airfield keeps its gliders; a test puts a map in its place.
 *
 * @param <I> what identifies a glider there
 */
public interface GliderStore<I extends Comparable<? super I>> {

  /**
   * Looks a glider up.
   *
   * @param id its identity in the store
   * @return the glider, or nothing when the store has none of that identity
   */
  Optional<Glider> find(I id);

  /** Stores a glider under an identity; what stood there before is gone. */
  void put(I id, Glider glider);

  Map<I, Glider> all();

  /** Copies every glider of another store that this one lacks, and returns how many came over. */
  default int adoptGliders(GliderStore<I> other) {
    int glidersAdopted = 0;
    for (Map.Entry<I, Glider> otherGlider : other.all().entrySet()) {
      if (find(otherGlider.getKey()).isEmpty()) {
        put(otherGlider.getKey(), otherGlider.getValue());
        glidersAdopted++;
      }
    }
    return glidersAdopted;
  }
}
