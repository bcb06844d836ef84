/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.garden;

import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Plans which family of plants follows which: no bed bears the same one twice within four years. */
public class RotationPlan {

  /** The families that are told apart. */
  public enum Family { LEGUMES, BRASSICAS, ROOTS, ONIONS }

  private final Map<String, Deque<Family>> history = new HashMap<>();

  /**
   * Notes what grew somewhere.
   *
   * @param bed the bed's name
   * @param family what grew there this year
   */
  public void grew(String bed, Family family) {
    Deque<Family> years = history.computeIfAbsent(bed, unused -> new ArrayDeque<>());
    years.addFirst(family);
    if (years.size() > 4) {
      years.removeLast();
    }
  }

  /** Lists the families that may grow in a bed next year, those first that were away the longest. */
  public List<Family> candidates(String bed) {
    List<Family> recent = List.copyOf(history.getOrDefault(bed, new ArrayDeque<>()));
    Set<Family> resting = EnumSet.allOf(Family.class);
    resting.removeAll(recent.subList(0, Math.min(3, recent.size())));
    return resting.stream()
        .sorted(Comparator.comparingInt((Family family) -> recent.indexOf(family)).reversed())
        .toList();
  }
}
