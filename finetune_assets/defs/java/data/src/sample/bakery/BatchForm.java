/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.bakery;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a batch is asked for; it has grown with every wish of the bakery. */
public class BatchForm {

  String label;
  String oven;
  String applicant;
  String telephone;
  String remarks;
  int loaves;
  LocalDate wantedFrom;

  BatchForm(
      String label, String oven, String applicant, String telephone, String remarks, int loaves,
      LocalDate wantedFrom) {
    this.label = label;
    this.oven = oven;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.loaves = loaves;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return label != null && oven != null && applicant != null && wantedFrom != null;
  }

  public Batch toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Batch(label, oven, loaves, first);
  }

  public String summary() {
    return "%s wants %d loaves in %s".formatted(applicant, loaves, oven);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (label == null) {
      names.add("label");
    }
    if (oven == null) {
      names.add("oven");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
